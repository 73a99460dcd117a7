"""Stubs of exercises, made from their solutions: `python -m fsslib.viz.stubs [SOLUTIONS …]`.

A solution is a code cell of `notebooks/solutions/NN_solutions.ipynb` with metadata
`{"exercise": NAME}`, whose lines between `# solution: about N lines` and `# end of solution` the
student shall write. The lesson's cell with the same metadata is rewritten: there these lines are
one, which raises NotImplementedError.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

_SOLUTION = re.compile(
    r"^([ \t]*)# solution: (about \d+ lines?)\n.*?^\1# end of solution\n?", re.MULTILINE | re.DOTALL
)


class StubError(ValueError):
    """A solution without its markers, or a lesson without the cell of an exercise."""


def stub(source: str) -> str:
    """The source of a solution as the lesson shows it.

    Raises:
        StubError: no pair of markers.
    """
    made, count = _SOLUTION.subn(r"\1raise NotImplementedError  # \2\n", source)
    if not count:
        raise StubError(
            "a solution has no lines between '# solution: about N lines' and '# end of solution'; "
            f"its cell begins {source.splitlines()[:1]}"
        )
    return made.rstrip("\n") + ("\n" if source.endswith("\n") else "")


def exercises(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """The code cells of a notebook that are an exercise, by its name."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return {cell.metadata["exercise"]: cell for cell in cells if "exercise" in cell.metadata}


def lesson_of(solutions: Path) -> Path:
    """The lesson that a notebook of solutions belongs to, by its number."""
    number = solutions.name.split("_")[0]
    (lesson,) = solutions.parent.parent.glob(f"{number}_*.ipynb")
    return lesson


def write_stubs(solutions: Path) -> list[str]:
    """Write the stubs of a notebook of solutions into its lesson; the names of those that changed.

    Raises:
        StubError: naming exercises that the lesson has no cell for, or that have no solution.
    """
    lesson = lesson_of(solutions)
    solved = exercises(nbformat.read(solutions, nbformat.NO_CONVERT))
    notebook = nbformat.read(lesson, nbformat.NO_CONVERT)
    cells = exercises(notebook)
    if odd := sorted(solved.keys() ^ cells.keys()):
        raise StubError(
            f"{lesson.name} and {solutions.name} differ in the exercises {odd}: a cell of each "
            "needs the metadata 'exercise' with that name"
        )
    changed = []
    for name, cell in cells.items():
        if cell.source != (source := stub(solved[name].source)):
            cell.update(source=source, outputs=[], execution_count=None)
            changed.append(name)
    if changed:
        nbformat.write(notebook, lesson)
    return changed


def main(paths: list[str]) -> None:
    """Write the stubs of the notebooks named, or of all in notebooks/solutions."""
    for path in map(Path, paths or sorted(Path("notebooks/solutions").glob("*.ipynb"))):
        if changed := write_stubs(path):
            print(f"{lesson_of(path)}: {', '.join(changed)} written anew; run the lesson again")


if __name__ == "__main__":
    main(sys.argv[1:])
