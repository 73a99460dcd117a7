"""The book: every lesson with its outputs, the pages of the repository, the API, as a website.

`make book` calls it. Sources are gathered in `build/book/source`, at the places that they have in
the repository, so that their links lead on; Sphinx (MyST-NB, Furo) makes `build/book/html` of them,
which needs no server and nothing from outside. Warnings are errors.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from functools import cache
from pathlib import Path

import nbformat
from api import api_pages
from course import course_pages
from papers import paper_pages

ROOT = Path(__file__).resolve().parents[2]
WIDGET = "application/vnd.jupyter.widget-view+json"
PAGES = ("*.md", "fsslib/*.md", "fsslib/own_pictures/*.md", "papermill_runs/*.md")
PAGES += ("papermill_runs/published/*.md", "papermill_runs/published/*/*.md", "notebooks/book/*.md")
NOTEBOOKS = ("notebooks/*.ipynb", "notebooks/solutions/*.ipynb")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def gather(source: Path) -> None:
    """Everything that Sphinx reads, in a folder that is emptied first."""
    shutil.rmtree(source, ignore_errors=True)
    alternatives: dict[str, str] = {}
    for path in files(PAGES):
        write(source / place(path), with_links(titled(path), path, source))
    for path in files(NOTEBOOKS):
        book = nbformat.read(path, nbformat.NO_CONVERT)
        alternatives |= still(book)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = with_links(cell.source, path, source)
        (source / place(path)).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, source / place(path))
    for name, text in (course_pages() | paper_pages() | api_pages()).items():
        write(source / name, text)
    write(source / "alternatives.json", json.dumps(alternatives))


def files(patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def place(path: Path) -> Path:
    """Where a file of the repository lies in the book: the book's own pages come to the top."""
    inside = path.relative_to(ROOT)
    if inside.parts[:2] == ("notebooks", "book"):
        return Path(inside.name)
    return Path("front_page.md") if inside == Path("README.md") else inside


def titled(path: Path) -> str:
    """A page with a title: tables alone have none."""
    text = path.read_text()
    return text if re.search(r"^# ", text, re.M) else f"# {path.stem}\n\n{text}"


def with_links(text: str, path: Path, source: Path) -> str:
    """A page whose links lead on in the book: pages to pages, other files to copies of them; what
    is a folder, or no file of the book's, is no link."""

    def link(match: re.Match) -> str:
        image, label, target = match.groups()
        name, mark, anchor = target.partition("#")
        if not name or re.match(r"[a-z]+:", target):
            return match[0]
        linked = (path.parent / name).resolve()
        if not linked.is_file() or not linked.is_relative_to(ROOT):
            return label
        to = place(linked)
        if linked not in pages():
            (source / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(linked, source / to)
        anchor = mark + anchor if linked.suffix == ".md" else ""
        return f"{image}[{label}]({os.path.relpath(to, place(path).parent)}{anchor})"

    return LINK.sub(link, text)


@cache
def pages() -> set[Path]:
    """Files of the repository that are pages of the book."""
    return set(files(PAGES + NOTEBOOKS))


def still(book: nbformat.NotebookNode) -> dict[str, str]:
    """Widgets become their static pictures; alternative texts by the digest of a picture."""
    texts = {}
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            data.pop(WIDGET, None)
            for kind in [kind for kind in data if kind in ("image/png", "image/jpeg")]:
                digest = hashlib.sha256(b64decode(data[kind])).hexdigest()
                texts[digest] = output.metadata.get(kind, {}).get("alt", "")
    return texts


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def build(folder: Path) -> int:
    """Gather and make; Sphinx's exit status."""
    source, html = folder / "source", folder / "html"
    gather(source)
    settings = Path(__file__).parent
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c"]
    status = subprocess.run([*command, settings, source, html], check=False).returncode
    if not status:
        print(f"The book is made: open {html / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "book"))
