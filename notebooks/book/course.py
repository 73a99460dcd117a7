"""The map of the course: which lessons there are, which each builds on, and the page that shows it.

`course.yaml` says it; titles are the lessons' own.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import yaml
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent


def course_pages() -> dict[str, str]:
    """Name of the page -> its text: the map, and its drawing as SVG."""
    return {"course.md": course_page(), "course.svg": drawing(course_figure())}


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
        axis.text(0.1, -1.0 * row, textwrap.fill(chapter["name"], 17), va="center", ha="right")
        for number in chapter["lessons"]:
            x, y = places[number]
            style = {"boxstyle": "round,pad=0.06", "fc": chapter["colour"], "ec": "0.35"}
            axis.add_patch(FancyBboxPatch((x - 0.58, y - 0.27), 1.16, 0.54, **style))
            name = "\n".join(textwrap.wrap(title(number).partition("·")[2].strip(), 16)[:2])
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


def drawing(figure: Figure, source: str | None = None) -> str:
    """A figure as SVG text, which says what it was made of."""
    about = {"Date": None, "Source": source}
    with plt.rc_context({"svg.hashsalt": "fsslib", "svg.fonttype": "path"}):
        buffer = StringIO()
        figure.savefig(buffer, format="svg", facecolor="white", metadata=about)
    return buffer.getvalue()
