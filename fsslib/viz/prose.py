"""Prose with numbers that the cell above has measured: Markdown made by code.

What a lesson says of its results is made of them, so that text and output cannot part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prose:
    """Markdown as a cell's output; as plain text where that cannot be shown."""

    text: str
    plain: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/markdown": self.text, "text/plain": self.plain}


def conclude(text: str) -> Prose:
    """What was seen, why, and what to remember; the one place where a result is judged."""
    text = " ".join(text.split())
    return Prose(f"> **Conclusion.** {text}", f"Conclusion. {text}")


def reveal(text: str, title: str = "What happened") -> Prose:
    """The answer to a prediction, folded until it is asked for."""
    text = text.strip()
    folded = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
    return Prose(folded, f"{title}: {' '.join(text.split())}")
