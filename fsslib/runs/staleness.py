"""Which rows of a table were made with other code or weights than today's, as their own records
say (`provenance`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fsslib.runs.provenance import changed_since

MARK = "‡"
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def changes(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """What has changed since any of a row's results was made: "code", and names of weights."""
    return sorted({each for result in results for each in changed_since(result) or ()})


NAMED = 6  # rows, at most, in a legend


def marked(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    """A row's name, with a mark if it is stale."""
    return f"{name} {MARK}" if changes(results) else name


def legend(rows: Rows) -> list[str]:
    """What the mark means, and of which rows; nothing where there is none."""
    stale: dict[str, list[str]] = {}
    for row, results in rows.items():
        for change in changes(results):
            stale.setdefault(change, []).append(row)
    if not stale:
        return []
    what = "; ".join(f"{change} ({_which(names, rows)})" for change, names in stale.items())
    return [
        "",
        f"{MARK} changed since the row was run, by its own record: {what}. That does not say that "
        "its score would change.",
    ]


def unrecorded(rows: Rows) -> list[str]:
    """Of which rows nobody can tell: results of older versions have no record."""
    names = [row for row, rs in rows.items() if any(changed_since(r) is None for r in rs)]
    if not names:
        return []
    return ["", f"Without a record of code and weights (older versions): {_which(names, rows)}."]


def _which(names: Sequence[str], rows: Rows) -> str:
    """Few rows by name; of many how many, since each has its mark."""
    if len(names) == len(rows):
        return "all rows"
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} of {len(rows)} rows"
