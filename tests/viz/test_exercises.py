"""Exercises: a stub waits, a wrong answer says why, a right one is solved."""

import pytest
import torch

from fsslib.viz import exercises
from fsslib.viz.exercises import check, exercise


def doubles(answer):
    assert answer(2) == 4, f"answer(2) is {answer(2)},\nnot 4"


@pytest.mark.parametrize(
    ("solve", "line"),
    [
        (lambda x: 2 * x, "double: solved"),
        (lambda x: x, "double: not yet: answer(2) is 2, not 4"),
    ],
)
def test_an_answer_is_judged_in_one_line(solve, line, capsys):
    def double(x):
        return solve(x)

    assert exercise(doubles)(double) is double
    assert capsys.readouterr().out.strip().startswith(line)


def test_a_stub_waits_and_other_errors_are_shown(capsys):
    @exercise(doubles)
    def double(x):
        raise NotImplementedError

    assert capsys.readouterr().out == "double: waits for you\n"
    with pytest.raises(ZeroDivisionError):
        exercise(doubles)(lambda x: x / 0)


GRID = torch.arange(12.0).reshape(3, 4) / 11


@pytest.mark.parametrize(
    ("answer", "expected", "verdict"),
    [
        (lambda x: x, GRID, "answer: solved"),
        (lambda x: 2 * x, GRID, "not yet: 2 at [2, 3], expected 1: yours is 2 times the expected"),
        (lambda x: x + 0.5, GRID, ": yours is the expected +0.5"),
        (lambda x: 1 - x, GRID, "yours is 1 minus the expected"),
        (lambda x: x.T, GRID, "shape (4, 3), expected (3, 4): it is transposed"),
        (lambda x: x[None], GRID, "expected (3, 4): the values are right, an axis of length 1"),
        (lambda x: x / 0, GRID, "12 of 12 values are no finite number"),
        (lambda x: None, GRID, "returned NoneType, expected a tensor (3, 4)"),
        (lambda x: float(x.sum()), 6.0, "answer: solved"),
        (lambda x: 5.0, 6.0, "not yet: 5, expected 6"),
        (lambda x: (1.0, x), (1.0, GRID), "answer: solved"),
        (lambda x: (1.0, x + 1), (1.0, GRID), "not yet: value 2: "),
        (lambda x: "cat", "dog", "returned 'cat', expected 'dog'"),
    ],
)
def test_a_check_says_what_is_off(answer, expected, verdict, capsys):
    answer.__name__ = "answer"
    check(answer, expected, GRID)
    assert verdict in capsys.readouterr().out


def test_a_check_draws_yours_beside_the_expected(capsys):
    def plus(x):
        return x + 1

    def waits(x):
        raise NotImplementedError

    both = check(plus, lambda x: x, GRID)
    assert both.titles == ("yours", "expected", "difference")
    assert check(waits, GRID, GRID).titles == ("expected",)
    assert "waits for you" in capsys.readouterr().out
    line = check(plus, lambda x: x, GRID.flatten())
    assert [text.get_text() for text in line.axes[0].get_legend().get_texts()] == [
        "expected",
        "yours",
    ]
    assert check(plus, 2.0, 1.0) is None


def test_further_inputs_are_tried(capsys):
    def first(x):
        return x if x.ndim == 2 else x * 0

    check(first, lambda x: x, GRID, more=[(GRID,), (GRID.flatten(),)])
    assert "with other inputs (2): 0 at [11], expected 1" in capsys.readouterr().out


def test_among_solutions_all_must_hold(monkeypatch):
    monkeypatch.setattr(exercises, "_strict", False)
    exercises.must_hold()
    check(lambda x: x, GRID, GRID)
    with pytest.raises(exercises.UnsolvedError, match="yours is the expected"):
        check(lambda x: x + 1, GRID, GRID)
    with pytest.raises(exercises.UnsolvedError, match="answer\\(2\\) is 2, not 4"):
        exercise(doubles)(lambda x: x)


def test_three_maps_are_no_colours(capsys):
    maps = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    drawing = check(lambda x: 2 * x, lambda x: x, maps)
    assert "yours is 2 times" in capsys.readouterr().out
    assert drawing.titles == ("channel 0", "channel 1", "channel 2", *[""] * 6)
    assert drawing.alt.startswith("yours; expected; difference")


def test_a_few_numbers_are_bars_and_many_a_line(capsys):
    two = check(lambda x: 2 * x, lambda x: x, torch.arange(2.0)).axes[0]
    few = check(lambda x: 2 * x, lambda x: x, torch.arange(5.0)).axes[0]
    many = check(lambda x: 2 * x, lambda x: x, torch.arange(40.0)).axes[0]
    assert [len(bars) for bars in few.containers] == [5, 5] and not many.containers
    assert [len(line.get_xdata()) for line in many.lines] == [40, 40]
    assert two.get_xticks().tolist() == [0, 1] and few.get_xticks().tolist() == [0, 1, 2, 3, 4]
    assert all(float(tick).is_integer() for tick in many.get_xticks())


def test_a_slender_matrix_is_drawn_with_tall_cells(capsys):
    drawing = check(lambda x: 2 * x, lambda x: x, torch.rand(3, 128))
    width, height = drawing.image.size
    assert height > width / 3 / 4, (
        "three maps beside each other, none longer than four times its height"
    )
