"""Prose with numbers that the cell above has measured: Markdown made by code.

What a lesson says of its results is made of them, so that text and output cannot part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WRITTEN = re.compile(r"([+\N{MINUS SIGN}-]?\d[\d.,]*)?( ?(%|±|\[).*)?")
"""A number as text, with its unit or interval; or nothing."""
SIGN = re.compile(r"(?<![^\s(\[|*“/])-(?=\.?\d)")
VERBATIM = re.compile(r"(`[^`]*`|\$[^$]*\$)")


@dataclass(frozen=True)
class Prose:
    """Markdown as a cell's output; as plain text where that cannot be shown."""

    text: str
    plain: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/markdown": self.text, "text/plain": self.plain}


def conclude(text: str) -> Prose:
    """What was seen, why, and what to remember; the one place where a result is judged."""
    text = _set(" ".join(text.split()))
    return Prose(f"> **Conclusion.** {text}", f"Conclusion. {text}")


def reveal(text: str, title: str = "What happened") -> Prose:
    """The answer to a prediction, folded until it is asked for."""
    folded = f"<details><summary>{title}</summary>\n\n{text.strip()}\n\n</details>"
    return Prose(_set(folded), _set(f"{title}: {' '.join(text.split())}"))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Prose:
    """A table that a narrow page can show, which printed columns are too wide for: numbers, also
    written ones, stand at the right; one with a fraction has one digit of it.

    Args:
        heads: of the columns.
        rows: their cells; every row as long as `heads`.
        title: a line above.
    """
    lines = [[_cell(cell) for cell in row] for row in rows]
    sides = ["---:" if _numeric(column) else "---" for column in zip(*rows, strict=True)]
    marked = [" | ".join(line) for line in (list(heads), sides or ["---"] * len(heads), *lines)]
    above = f"**{title}**\n\n" if title else ""
    text = above + "\n".join(f"| {line} |" for line in marked)
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    plain = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (list(heads), *lines)
    ]
    return Prose(text, "\n".join([*([title] if title else []), *plain]))


def _cell(value: object) -> str:
    return minus(f"{value:.1f}" if isinstance(value, float) else str(value))


def _numeric(column: Sequence[object]) -> bool:
    return all(not isinstance(cell, str) or WRITTEN.fullmatch(cell) for cell in column)


def _set(text: str) -> str:
    """As a typesetter would: a number and its percent sign stay on one line, minus is no hyphen."""
    return minus(text).replace(" %", "\N{NO-BREAK SPACE}%")


def minus(text: str) -> str:
    """Hyphens that are signs of numbers as minus signs; code and formulas stay as they are."""
    parts = VERBATIM.split(text)  # every second one is code or a formula
    return "".join(p if n % 2 else SIGN.sub("\N{MINUS SIGN}", p) for n, p in enumerate(parts))
