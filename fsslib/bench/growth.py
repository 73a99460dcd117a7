"""From a sweep's rows to the lines of a figure: one variable on the axis, a line for the rest."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.figure import Figure

from fsslib.bench.measure import Results, Row
from fsslib.config import ConfigError
from fsslib.viz.bench import show_growth


def growth_figure(results: Results) -> Figure:
    """Time, and memory where it was measured, over the first number that was swept.

    Raises:
        ConfigError: nothing but names was swept.
    """
    variable = swept_number(results.rows)
    panels = {"ms a call": lines(results.rows, variable, "ms")}
    if all(row.peak_mib for row in results.rows):
        panels["peak MiB"] = lines(results.rows, variable, "mib")
    return show_growth(panels, variable)


def swept_number(rows: list[Row]) -> str:
    """The first setting that is a number and has several values."""
    for name, value in rows[0].what.items():
        if isinstance(value, int) and len({row.what[name] for row in rows}) > 1:
            return name
    raise ConfigError("plot: expected a number that is swept over, such as size=97,193,289")


def lines(rows: list[Row], variable: str, quantity: str) -> dict[str, dict[str, list[float]]]:
    """A line for each combination of the other settings, by those that differ."""
    others = [name for name in rows[0].what if name != variable]
    varying = [n for n in others if len({str(row.what[n]) for row in rows}) > 1] or ["name"]
    made: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row.what[variable]):
        name = " ".join(_words(n, row.what[n]) for n in varying)
        line = made.setdefault(name, {"x": [], "y": []})
        line["x"].append(row.what[variable])
        if quantity == "mib":
            line["y"].append(row.peak_mib)
            continue
        line["y"].append(median(row.milliseconds))
        line.setdefault("low", []).append(min(row.milliseconds))
        line.setdefault("high", []).append(max(row.milliseconds))
    return made


def _words(name: str, value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{name} {value}"
