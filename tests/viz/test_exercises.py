"""Exercises: a stub waits, a wrong answer says why, a right one is solved."""

import pytest

from fsslib.viz.exercises import exercise


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
