"""Exercises that say themselves whether they are solved.

A lesson holds a stub and a check; the stub does nothing yet, and the lesson runs all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer", bound=Callable)


def exercise(check: Callable[[Callable], None]) -> Callable[[Answer], Answer]:
    """Decorator of an answer: asks `check` of it, and prints what came of it in one line.

    Args:
        check: calls the answer and asserts what must hold; the message of an assertion is shown.
    """

    def ask(answer: Answer) -> Answer:
        name = answer.__name__
        try:
            check(answer)
        except NotImplementedError:
            print(f"{name}: waits for you")
        except AssertionError as error:
            print(f"{name}: not yet: {' '.join(str(error).split()) or 'a check does not hold'}")
        else:
            print(f"{name}: solved")
        return answer

    return ask
