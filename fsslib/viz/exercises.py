"""Exercises that say themselves whether they are solved, and show what is off.

A lesson holds a stub and a check; the stub does nothing yet, and the lesson runs all the same. In
the notebook of solutions, after `must_hold()`, a check that fails is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fsslib.viz.comparison import Fault, compared, drawn

Answer = TypeVar("Answer", bound=Callable)

_strict = False


class UnsolvedError(AssertionError):
    """A check that failed where all must hold."""


def must_hold() -> None:
    """From here on an exercise that is not solved raises an error: for notebooks of solutions."""
    global _strict
    _strict = True


def check(
    answer: Callable[..., Any],
    expected: Any,
    *inputs: Any,
    tolerance: float = 1e-4,
    more: Sequence[tuple[Any, ...]] = (),
) -> Any:
    """Compare an answer with what is expected: one line of verdict, and a picture of both.

    Args:
        answer: the student's function; a stub raises NotImplementedError.
        expected: what it should return for `inputs`, or a function of them that says so.
        inputs: what both are called with.
        tolerance: largest difference, absolute, and relative to the expected value.
        more: further inputs to be tried, not drawn; `expected` is a function then.

    Returns:
        The expected value of a stub, else yours, the expected and their difference as pictures
        (maps (h,w), up to four of (c,h,w)) or lines (up to 128 numbers); None where neither fits.
    """
    reference = expected(*inputs) if callable(expected) else expected
    try:
        result = answer(*inputs)
    except NotImplementedError:
        _judge(answer.__name__, "waits for you", solved=False)
        return drawn(None, reference)
    fault = compared(result, reference, tolerance)
    for number, other in enumerate(more, 1):
        fault = fault or _inputs(number, compared(answer(*other), expected(*other), tolerance))
    _judge(answer.__name__, f"not yet: {fault}" if fault else "solved", solved=not fault)
    return drawn(result, reference)


def exercise(holds: Callable[[Callable], None]) -> Callable[[Answer], Answer]:
    """Decorator of an answer that is judged by what must hold, not by one expected value.

    Args:
        holds: calls the answer and asserts what must hold; the message of an assertion is shown.
    """

    def ask(answer: Answer) -> Answer:
        name = answer.__name__
        try:
            holds(answer)
        except NotImplementedError:
            _judge(name, "waits for you", solved=False)
        except AssertionError as error:
            reason = " ".join(str(error).split()) or "a check does not hold"
            _judge(name, f"not yet: {reason}", solved=False)
        else:
            _judge(name, "solved", solved=True)
        return answer

    return ask


def _judge(name: str, verdict: str, solved: bool) -> None:
    if _strict and not solved:
        raise UnsolvedError(f"{name}: {verdict}")
    print(f"{name}: {verdict}")


def _inputs(number: int, fault: Fault) -> Fault:
    return f"with other inputs ({number}): {fault}" if fault else ""
