"""Results as text: a table, and a comparison of two."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from scipy.stats import mannwhitneyu

from fsslib.bench.measure import Results, Row
from fsslib.config import differences

SURE = 0.05
"""Largest probability that rows of one speed look so different."""
FEWEST = 4
"""Rounds on both sides below which nothing can be told at that probability."""
SMALLEST = 0.02
"""Difference that is worth saying."""


def table(results: Results) -> str:
    """A Markdown table of the rows: what is the same in all stands above it."""
    rows = results.rows
    names = _varying(rows)
    common = {k: v for k, v in rows[0].what.items() if k not in names and k in rows[0].what}
    head = f"{results.topic} on {results.machine['device']}, {results.clock} time; " + ", ".join(
        f"{name} {value}" for name, value in common.items()
    )
    cells = [[str(row.what.get(n, "")) for n in names] + _numbers(results, row) for row in rows]
    titles = [*names, *(title for title, _ in _COLUMNS(results))]
    keep = [i for i in range(len(titles)) if any(line[i] for line in cells)]
    lines = grid([titles[i] for i in keep], [[line[i] for i in keep] for line in cells])
    return "\n".join([head, "", *lines, *_rates(results)])


def _varying(rows: Sequence[Row]) -> list[str]:
    """Settings that tell the rows apart; the name always."""
    names = dict.fromkeys(name for row in rows for name in row.what)
    return [n for n in names if n == "name" or len({str(r.what.get(n)) for r in rows}) > 1]


def _COLUMNS(results: Results) -> list[tuple[str, Any]]:
    unit = results.rows[0].unit
    return [
        (f"{unit}/s", lambda row: _short(row.per_second)),
        ("ms", lambda row: _short(median(row.milliseconds))),
        ("range", lambda row: _range(row.milliseconds)),
        ("peak MiB", lambda row: _short(row.peak_mib)),
        ("GFLOP", lambda row: _short(row.operations and row.operations / 1e9)),
        ("x floor", lambda row: _ratio(results.floor_ratio(row))),
        ("x oneDNN", lambda row: _ratio(row.onednn_ratio)),
        ("processor ms", lambda row: _short(median(row.processor) if row.processor else None)),
        ("waits for loading", lambda row: _percent(row.share_waiting)),
    ]


def _numbers(results: Results, row: Row) -> list[str]:
    return [read(row) for _, read in _COLUMNS(results)]


def _rates(results: Results) -> list[str]:
    """The machine's rates, which floors are made of."""
    if not results.operations_per_second:
        return []
    product, copied = (
        median(rates) / 1e9 for rates in (results.operations_per_second, results.bytes_per_second)
    )
    return [
        "",
        f"In the same rounds: a matrix product {_short(product)} GFLOP/s, a copy {_short(copied)} "
        "GB/s (read and written).",
    ]


def comparison(new: Results, old: Results) -> str:
    """Rows of both results, new over old: time in units of the machine's own matrix products where
    both have measured them, and peak memory. Says which times differ beyond noise, by a rank test
    over rounds."""
    known = {_key(row): row for row in old.rows}
    pairs = [(row, known[_key(row)]) for row in new.rows if _key(row) in known]
    names = _varying(new.rows)
    lines = [
        [str(row.what.get(name, "")) for name in names] + _compared(new, row, old, before)
        for row, before in pairs
    ]
    alone = len(new.rows) - len(pairs), len(old.rows) - len(pairs)
    notes = [f"{alone[0]} rows only here, {alone[1]} only there"] if any(alone) else []
    changed = differences(_plain(old.machine), _plain(new.machine))
    notes += [f"machines differ: {changed}"] if changed else []
    return "\n".join([*grid([*names, "time", "", "memory"], lines), *notes])


def _compared(new: Results, row: Row, old: Results, before: Row) -> list[str]:
    both = bool(new.operations_per_second) and bool(old.operations_per_second)
    times = [r.in_products(x) if both else x.milliseconds for r, x in ((new, row), (old, before))]
    ratio = median(times[0]) / median(times[1])
    memory = row.peak_mib / before.peak_mib if row.peak_mib and before.peak_mib else None
    return [_ratio(ratio), verdict(*times), _ratio(memory)]


def verdict(new: Sequence[float], old: Sequence[float]) -> str:
    """`slower`, `faster` or `as before`; empty where there are too few rounds to tell."""
    if min(len(new), len(old)) < FEWEST:
        return "too few rounds to tell"
    ratio = median(new) / median(old)
    if abs(ratio - 1) < SMALLEST or mannwhitneyu(new, old).pvalue > SURE:
        return "as before"
    return "slower" if ratio > 1 else "faster"


def _key(row: Row) -> str:
    return str(sorted((name, str(value)) for name, value in row.what.items()))


def _plain(machine: dict[str, Any]) -> dict[str, Any]:
    return {"device": machine["device"], "threads": machine["threads"], **machine["versions"]}


def grid(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns stand below each other as plain text, too."""
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    rule = ["-" * max(width, 3) for width in widths]
    rows = [titles, rule, *lines]
    return [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]


def _short(value: float | None) -> str:
    """Three digits, or all before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _range(values: Sequence[float]) -> str:
    return f"{_short(min(values))}–{_short(max(values))}" if len(values) > 1 else ""


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
