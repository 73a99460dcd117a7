"""Pages of the papers: what each claims, where its code differs, its lessons, runs and verdict; and
a card of each system.

Nothing on them is typed twice: claims and verdicts are of `papermill_runs/claims.yaml` and the
published results, differences of the lessons.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import yaml
from course import HERE, course, link, section, title
from systems import system

from fsslib.runs.claims import Claims, judge, read_claims
from fsslib.runs.claims_command import claims_table
from fsslib.runs.leaderboard import bench_cost, entries
from fsslib.runs.results import folds_text, mean_and_half
from fsslib.runs.study_tables import study_results

DIFFERS = "## Where the paper and its code differ"


def paper_pages() -> dict[str, str]:
    """Name of the page -> its text; drawings are written beside them as SVG."""
    papers = {each["paper"]: each for each in course()["chapters"] if "paper" in each}
    pages = {"methods.md": methods_page(papers)}
    for name, chapter in papers.items():
        pages[f"papers/{name}.md"] = paper_page(name, list(chapter["lessons"]))
        pages[f"papers/{name}.svg"] = system(name)
    return pages


@cache
def claims() -> Claims:
    """The papers' claims, read once."""
    return read_claims()


def paper_page(name: str, numbers: list[str]) -> str:
    """What a paper claims, where its code differs, which lesson, which runs, which verdict."""
    paper = claims().of[name]
    known = [judge(claim, paper) for claim in claims().all if claim.paper == name]
    counts = Counter(each.verdict for each in known)
    verdicts = ", ".join(f"{count} × {verdict}" for verdict, count in counts.most_common())
    alt = f"Drawing of the system {name}: its blocks, and what flows between them"
    studies = sorted({row.split("/")[0] for each in known for row in _rows(each.claim)})
    published = [f"[`{study}`](../papermill_runs/published/{study}/README.md)" for study in studies]
    blocks = [
        f"# {paper.title}",
        f"```{{image}} {name}.svg\n:alt: {alt}\n:width: 100%\n```",
        "**Lessons:** " + " → ".join(link(number, "../") for number in numbers),
        f"**Runs:** {', '.join(published)}; all claims of all papers are in "
        "[91](../notebooks/91_claims.ipynb).",
        f"**Verdict:** {len(known)} claims: {verdicts}.",
        "## What is wrong in its numbers",
        "\n".join(f"- {error}" for error in paper.errors),
        "## Its claims",
        claims_table(known),
        DIFFERS,
    ]
    for number in numbers:
        if text := section(number, DIFFERS):
            blocks += [f"### {title(number)}", _moved(text)]
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
    numbers = claims().of[name].value
    front = study_results("frontier")
    shipped = entries({row: front[row] for row in card.get("front", ())})
    lines = ["| | |", "| --- | --- |"]
    lines += [
        f"| the paper, {where} | {numbers(key):.1f} |" for where, key in card["paper"].items()
    ]
    costs = []
    for label, row in card["ours"].items():
        study, _, of = row.partition("/")
        results = study_results(study, [of])[of]
        mean, half = mean_and_half(results)
        on = f"study `{study}`, {folds_text({result['fold'] for result in results})}"
        lines.append(f"| ours, {label} ({on}) | {mean:.1f} ± {half:.1f} |")
        costs += _costs(label, results[0])
    lines += costs
    lines += [
        f"| cost of `{each.row}` | {each.seconds:.3f} s an episode, {each.parameters:,} parameters "
        "trained |"
        for each in shipped
    ]
    lines.append(f"| told | {card['supervision']} |")
    numbers_of = " → ".join(link(number) for number in chapter["lessons"])
    lines.append(f"| lessons | {numbers_of} |")
    lines.append(f"| what differs from the paper | [its page](papers/{name}.md) |")
    return "\n".join(lines)


def _costs(label: str, result: dict[str, Any]) -> list[str]:
    """What a training of a row took, and what the bench has of its forward pass."""
    lines = []
    if result["trained"] and "training" in result:
        steps, batch = result["training"]["steps"], result["training"]["batch_size"]
        minutes = result["training_seconds"] / 60
        lines.append(
            f"| training of {label}, a fold | {steps:,} steps of {batch} episodes, {minutes:.0f} "
            f"minutes on {result['device']}, frozen features kept |"
        )
    if cost := bench_cost(result):
        lines.append(
            f"| forward pass of {label} | {cost['seconds']:.3f} s an episode, in batches of "
            f"{cost['batch']} |"
        )
    return lines


def _rows(claim: Any) -> set[str]:
    return {row for each in claim.ours for row in re.findall(r"[a-z_]+/[\w+.]+", each)}


def _moved(markdown: str) -> str:
    """A lesson's text on a page of another folder."""
    return re.sub(r"\]\((?![a-z]+:|#)", "](../notebooks/", markdown)
