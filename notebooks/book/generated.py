"""Pages of the book that are made of what the repository holds: course, papers, methods.

Nothing on them is typed twice: lessons come from `course.yaml` and their own notebooks, claims and
verdicts from `papermill_runs/claims.yaml` and the published results.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import yaml
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fsslib.runs.claims import judged, read_claims
from fsslib.runs.claims_command import claims_table
from fsslib.runs.leaderboard import entries
from fsslib.runs.results import mean_and_half
from fsslib.runs.study_tables import study_results
from fsslib.viz.diagrams import diagram

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent
DIFFERS = "## Where the paper and its code differ"


@cache
def course() -> dict[str, Any]:
    """Chapters, lessons, routes."""
    return yaml.safe_load((HERE / "course.yaml").read_text())


def lessons() -> dict[str, list[str]]:
    """Number of a lesson -> numbers of those that it builds on."""
    return {n: needs for each in course()["chapters"] for n, needs in each["lessons"].items()}


def notebook(number: str) -> Path:
    """Where a lesson lies."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return path


@cache
def text(number: str) -> str:
    """All Markdown of a lesson."""
    cells = nbformat.read(notebook(number), nbformat.NO_CONVERT).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def title(number: str) -> str:
    """`51 · Images as prompts`."""
    return re.search(r"^# (.+)$", text(number), re.M)[1].strip()


def section(number: str, heading: str) -> str:
    """What stands under a heading of a lesson."""
    return re.split(r"^## ", text(number).partition(f"{heading}\n")[2], flags=re.M)[0].strip()


def link(number: str, folder: str = "") -> str:
    return f"[{title(number)}]({folder}notebooks/{notebook(number).name})"


def generated_pages() -> dict[str, str]:
    """Name of the page -> its text; drawings are written beside them as SVG text."""
    pages = {"course.md": course_page(), "course.svg": drawing(course_figure())}
    papers = {each["paper"]: each for each in course()["chapters"] if "paper" in each}
    for name, chapter in papers.items():
        pages[f"papers/{name}.md"] = paper_page(name, list(chapter["lessons"]))
        pages[f"papers/{name}.svg"] = drawing(diagram(name))
    return pages | {"methods.md": methods_page(papers)}


def course_page() -> str:
    blocks = ["# Map of the course", "An arrow leads from a lesson to those that build on it."]
    names = ", ".join(each["name"] for each in course()["chapters"])
    alt = f"Lessons 00 to 72 as boxes in rows, one row a chapter: {names}; arrows to what follows"
    blocks += [f"```{{image}} course.svg\n:alt: {alt}\n:width: 100%\n```", "## Three routes"]
    for route in course()["routes"]:
        steps = " → ".join(link(number) for number in route["lessons"])
        blocks.append(f"**{route['name']}.** {route['text']}\n\n{steps}")
    blocks.append("## All lessons")
    for chapter in course()["chapters"]:
        blocks.append(f"### {chapter['name']}")
        lines = ["| lesson | builds on | solutions |", "| --- | --- | --- |"]
        for number, needs in chapter["lessons"].items():
            solutions = f"[{number}](notebooks/solutions/{number}_solutions.ipynb)"
            lines.append(f"| {link(number)} | {', '.join(needs) or '–'} | {solutions} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def course_figure() -> Figure:
    """A row a chapter, a box a lesson, an arrow for each lesson that is built on."""
    chapters = course()["chapters"]
    places = {
        number: (1.6 * column + 1.1, -1.0 * row)
        for row, chapter in enumerate(chapters)
        for column, number in enumerate(chapter["lessons"])
    }
    figure, axis = plt.subplots(figsize=(9.5, 0.95 * len(chapters)))
    for row, chapter in enumerate(chapters):
        axis.text(0.1, -1.0 * row, "\n".join(_folded(chapter["name"])), va="center", ha="right")
        for number in chapter["lessons"]:
            x, y = places[number]
            style = {"boxstyle": "round,pad=0.06", "fc": chapter["colour"], "ec": "0.35"}
            axis.add_patch(FancyBboxPatch((x - 0.58, y - 0.27), 1.16, 0.54, **style))
            name = "\n".join(_folded(title(number).partition("·")[2].strip(), 17)[:2])
            axis.text(x, y, f"{number} {name}", ha="center", va="center", fontsize=6.5)
    for number, needs in lessons().items():
        for need in needs:
            axis.add_patch(_arrow(places[need], places[number]))
    axis.set(xlim=(-1.6, 9.0), ylim=(-len(chapters) + 0.45, 0.55))
    axis.axis("off")
    figure.tight_layout(pad=0.2)
    plt.close(figure)
    return figure


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    """From box to box, below all boxes: along a row, over neighbours, down to another row."""
    (x0, y0), (x1, y1) = start, end
    near = y0 == y1 and x1 < x0 + 2
    if near:
        ends, bend, colour = ((x0 + 0.64, y0), (x1 - 0.64, y1)), 0, "0.25"
    elif y0 == y1:
        ends, bend, colour = ((x0 + 0.3, y0 + 0.33), (x1 - 0.3, y1 + 0.33)), -0.18, "0.25"
    else:
        ends, bend, colour = ((x0, y0 - 0.33), (x1, y1 + 0.33)), 0.08, "0.6"
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "lw": 0.9, "color": colour, "zorder": 0}
    return FancyArrowPatch(*ends, connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0, **style)


def _folded(name: str, width: int = 18) -> list[str]:
    lines = [""]
    for word in name.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def paper_page(name: str, numbers: list[str]) -> str:
    """What a paper claims, where its code differs, which lesson, which runs, which verdict."""
    claims = read_claims()
    known = [each for each in judged(claims) if each.claim.paper == name]
    counts = Counter(each.verdict for each in known)
    verdicts = ", ".join(f"{count} × {verdict}" for verdict, count in counts.most_common())
    alt = f"Drawing of the system {name}: its blocks, and what flows between them"
    studies = sorted({row.split("/")[0] for each in known for row in _rows(each.claim)})
    published = [f"[`{study}`](../papermill_runs/published/{study}/README.md)" for study in studies]
    blocks = [
        f"# {claims.of[name].title}",
        f"```{{image}} {name}.svg\n:alt: {alt}\n:width: 100%\n```",
        "**Lessons:** " + " → ".join(link(number, "../") for number in numbers),
        f"**Runs:** {', '.join(published)}; all claims of all papers are in "
        "[91](../notebooks/91_claims.ipynb).",
        f"**Verdict:** {len(known)} claims: {verdicts}.",
        "## What is wrong in its numbers",
        "\n".join(f"- {error}" for error in claims.of[name].errors),
        "## Its claims",
        claims_table(known),
        "## Where the paper and its code differ",
    ]
    for number in numbers:
        if told := section(number, DIFFERS):
            blocks += [f"### {title(number)}", _moved(told)]
    return "\n\n".join(blocks) + "\n"


def methods_page(chapters: dict[str, Any]) -> str:
    """A card a system: the paper's numbers, ours, what it costs, what it is told, what differs."""
    blocks = [
        "# Methods",
        "A card for each of the four systems. The papers' numbers are of photographs and large "
        "networks, ours of Scenes-10i and the embedded ones: they do not compare. Costs are the "
        "[leaderboard's](notebooks/92_leaderboard.ipynb); licences of codes and weights stand on "
        "[a page of their own](papermill_runs/published/licences.md).",
    ]
    for name, card in yaml.safe_load((HERE / "methods.yaml").read_text()).items():
        blocks += [f"## {card['name']}", _card(name, card, chapters[name])]
    return "\n\n".join(blocks) + "\n"


def _card(name: str, card: dict[str, Any], chapter: dict[str, Any]) -> str:
    numbers = read_claims().of[name].value
    front = study_results("frontier")
    costs = {each.row: each for each in entries({row: front[row] for row in card.get("front", ())})}
    lines = ["| | |", "| --- | --- |"]
    lines += [
        f"| the paper, {where} | {numbers(key):.1f} |" for where, key in card["paper"].items()
    ]
    for label, row in card["ours"].items():
        study, _, of = row.partition("/")
        mean, half = mean_and_half(study_results(study, [of])[of])
        lines.append(f"| ours, {label} (study `{study}`) | {mean:.1f} ± {half:.1f} |")
    lines += [
        f"| cost of `{row}` | {each.seconds:.3f} s an episode, {each.parameters:,} parameters |"
        for row, each in costs.items()
    ]
    lines.append(f"| told | {card['supervision']} |")
    numbers_of = " → ".join(link(number) for number in chapter["lessons"])
    lines.append(f"| lessons | {numbers_of} |")
    lines.append(f"| what differs from the paper | [its page](papers/{name}.md) |")
    return "\n".join(lines)


def _rows(claim: Any) -> set[str]:
    return {row for each in claim.ours for row in re.findall(r"[a-z_]+/[\w+.]+", each)}


def _moved(markdown: str) -> str:
    """A lesson's text on a page of another folder."""
    return re.sub(r"\]\((?![a-z]+:|#)", "](../notebooks/", markdown)


def drawing(figure: Figure) -> str:
    """A figure as SVG text."""
    from io import StringIO

    with plt.rc_context({"svg.hashsalt": "fsslib", "svg.fonttype": "path"}):
        buffer = StringIO()
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()
