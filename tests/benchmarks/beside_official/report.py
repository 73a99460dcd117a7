"""The rows as JSON and as tables, written after each of them: all together take half an hour."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from statistics import median
from typing import Any

from fsslib.bench.measure import surroundings
from fsslib.bench.tables import grid
from fsslib.files import read_json, write_json

Row = dict[str, Any]


class Rows:
    """Measured rows, those of a file before them.

    Args:
        path: JSON, made or added to; a row that is there is replaced. None: nothing is written.
        how: what each row's measurement had in common.
    """

    def __init__(self, path: Path | None, how: dict[str, Any]) -> None:
        known = read_json(path)["rows"] if path and path.is_file() else []
        self.path, self.how = path, how
        self._rows = {row["work"]: row for row in known}

    @property
    def all(self) -> list[Row]:
        """In the order of their first measurement."""
        return list(self._rows.values())

    def add(self, row: Row) -> None:
        """Print it and write all."""
        self._rows[row["work"]] = row | self.how | {"processor": processor()}
        print(_line(row), flush=True)
        if self.path:
            write_json(self.path, {"machine": surroundings("cpu"), "rows": self.all})
            self.path.with_suffix(".md").write_text(f"{tables(self.all)}\n")
            short = self.path.with_name(f"{self.path.stem}_short.md")
            short.write_text(f"{short_table(self.all)}\n")


def processor() -> str:
    """What the system calls it: libraries choose their code by it, on which ratios depend."""
    path = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", path.read_text()) if path.is_file() else None
    return named[1].strip() if named else platform.processor()


def tables(rows: list[Row]) -> str:
    """Time and memory, as Markdown."""
    times = [
        [
            row["work"],
            f"{row['ratio']:.2f}",
            _span(row["range"]),
            *(f"{median(row['milliseconds'][side]) / 1000:.3g}" for side in ("ours", "official")),
            f"{row['difference']:.0e}" + ("" if row["agrees"] else " DIFFERS"),
            row.get("processor", ""),
        ]
        for row in rows
    ]
    memory = [[row["work"], *_memory(row["peak_mib"])] for row in rows]
    first = ["work", "ours / official", "range", "ours, s", "official, s", "largest difference"]
    first += ["processor"]
    second = ["peak MiB", "ours", "official", "as released", "ours / official"]
    return "\n".join([*grid(first, times), "", *grid(second, memory)])


def short_table(rows: list[Row]) -> str:
    """Both ratios, ours / official, in one table."""
    cells = [
        [
            *(row["work"], f"{row['ratio']:.2f}", _span(row["range"])),
            *(_memory(row["peak_mib"])[-1], row.get("processor", "")),
        ]
        for row in rows
    ]
    heads = ["ours / official", "time", "range", "peak memory", "processor"]
    return "\n".join(grid(heads, cells))


def _span(values: list[float]) -> str:
    return "–".join(f"{value:.2f}" for value in values)


def _memory(peaks: dict[str, float | None]) -> list[str]:
    cells = [_mib(peaks[side]) for side in ("ours", "official", "released")]
    return [*cells, f"{peaks['ours'] / peaks['official']:.2f}"]


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _line(row: dict[str, Any]) -> str:
    peaks = row["peak_mib"]
    return (
        f"{row['work']:<50} time {row['ratio']:.2f}  memory {_mib(peaks['ours'])} / "
        f"{_mib(peaks['official'])} MiB  difference {row['difference']:.0e}"
    )
