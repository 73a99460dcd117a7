"""The drawings of the papers' systems, which the front page and their pages in the book show.

`python notebooks/book/systems.py` writes those of the front page anew.
"""

from __future__ import annotations

import hashlib

from course import HERE, course, drawing

from fsslib.viz.diagrams import FOLDER, diagram

SYSTEMS = [chapter["paper"] for chapter in course()["chapters"] if "paper" in chapter]


def source(name: str) -> str:
    """The description that a drawing is made of, by its digest; the drawing itself says it."""
    return f"{name}.yaml {hashlib.sha256((FOLDER / f'{name}.yaml').read_bytes()).hexdigest()[:12]}"


def system(name: str) -> str:
    """A system's drawing as SVG text."""
    return drawing(diagram(name), source(name))


if __name__ == "__main__":
    for name in SYSTEMS:
        (HERE / "drawings" / f"{name}.svg").write_text(system(name))
