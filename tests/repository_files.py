"""What the structural tests look at: the repository's files, read once."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fsslib"
PLAYGROUND = ROOT / "notebooks" / "90_playground.ipynb"
REPORTS = sorted((ROOT / "notebooks").glob("9[1-9]_*.ipynb"))
"""Pages that are made of published results: neither lessons nor templates."""
LESSONS = sorted({*(ROOT / "notebooks").glob("*.ipynb")} - {PLAYGROUND, *REPORTS})
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
TEMPLATES = sorted((ROOT / "notebooks" / "runs").glob("*.ipynb"))
PUBLISHED = sorted((ROOT / "papermill_runs" / "published").rglob("*.ipynb"))
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "TROUBLESHOOTING.md",
    "fsslib/**/*.md",
    "papermill_runs/README.md",
)
DOCUMENTS = sorted(path for page in PAGES for path in ROOT.glob(page))
DOCUMENTS += sorted((ROOT / "papermill_runs" / "published").rglob("README.md"))
DOCUMENTS += sorted((ROOT / "papermill_runs" / "published").glob("[a-z]*.md"))

ABSOLUTE = re.compile(r"(?<![\w.~])/(?:home|root|work|tmp|Users)/|\bC:\\")


def shown(path):
    return str(path.relative_to(ROOT))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=shown)


@cache
def read(path):
    return nbformat.read(path, as_version=4)


def outputs(path):
    return [o for cell in read(path).cells for o in cell.get("outputs", ())]


def parsed(source):
    """Syntax tree of a module's or a cell's source; magics are left out."""
    return ast.parse(re.sub(r"^(%+[a-z]|!).*$", "", source, flags=re.M))


def absolute_paths(texts):
    """Where a text names a path that exists on one machine only, with what is around it."""
    matches = [(text, ABSOLUTE.search(text)) for text in texts]
    return [text[max(m.start() - 40, 0) : m.end() + 40] for text, m in matches if m]


@cache
def tracked():
    """Paths that git tracks; skips where the tests run outside a clone."""
    try:
        completed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone: what is tracked cannot be asked")
    return [Path(name) for name in completed.stdout.split("\0") if name]
