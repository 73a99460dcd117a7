"""Stubs are made from solutions; every lesson's stubs are those of its solutions."""

import nbformat
import pytest
from repository_files import SOLUTIONS, read

from fsslib.viz.stubs import StubError, exercises, lesson_of, stub, write_stubs

SOLVED = '''def half(x):
    """x / 2."""
    # solution: about 1 line
    return x / 2
    # end of solution


check(half, 1.0, 2.0)'''
STUB = '''def half(x):
    """x / 2."""
    raise NotImplementedError  # about 1 line


check(half, 1.0, 2.0)'''


def notebook(*cells):
    made = [
        nbformat.v4.new_code_cell(source, metadata={"exercise": name} if name else {})
        for name, source in cells
    ]
    return nbformat.v4.new_notebook(cells=made)


def test_the_lines_of_the_solution_become_one():
    assert stub(SOLVED) == STUB
    with pytest.raises(StubError, match="no lines between '# solution: about N lines'"):
        stub(STUB)


def test_stubs_are_written_where_the_lesson_has_their_cells(tmp_path):
    (tmp_path / "solutions").mkdir()
    solutions, lesson = tmp_path / "solutions" / "07_solutions.ipynb", tmp_path / "07_halves.ipynb"
    nbformat.write(notebook((None, "x = 1"), ("07.1", SOLVED)), solutions)
    nbformat.write(notebook((None, "y = 1"), ("07.1", "")), lesson)
    assert write_stubs(solutions) == ["07.1"] and write_stubs(solutions) == []
    assert [cell.source for cell in nbformat.read(lesson, 4).cells] == ["y = 1", STUB]
    nbformat.write(notebook(("07.2", "")), lesson)
    with pytest.raises(StubError, match=r"differ in the exercises \['07.1', '07.2'\]"):
        write_stubs(solutions)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_lessons_hold_the_stubs_of_their_solutions(path):
    solved = exercises(nbformat.from_dict(read(path)))
    lesson = exercises(nbformat.from_dict(read(lesson_of(path))))
    text = {name: "".join(cell.source) for name, cell in solved.items()}
    assert {name: stub(source) for name, source in text.items()} == {
        name: "".join(cell.source) for name, cell in lesson.items()
    }, "run `make stubs`"
    if solved:
        assert any("must_hold()" in "".join(cell["source"]) for cell in read(path)["cells"])
        waiting = [str(cell.outputs) for cell in lesson.values()]
        assert all("waits for you" in output for output in waiting), "run the lesson again"
