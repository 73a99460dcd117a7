"""Figures of the bench: how times and memory grow with what was swept over."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from fsslib.viz.overlay import palette

Line = dict[str, Sequence[float]]
"""`x`, `y`, and where they are known `low` and `high`."""


def show_growth(panels: dict[str, dict[str, Line]], variable: str) -> Figure:
    """One panel a quantity, one line a row, over the variable that was swept; both axes by powers,
    so that a line's slope is the power it grows with."""
    size = (4.6 * len(panels), 3.4)
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for colour, (name, line) in zip(palette(len(lines)) / 255, lines.items(), strict=True):
            axis.plot(line["x"], line["y"], marker="o", color=colour, label=name)
            if "low" in line:
                axis.fill_between(line["x"], line["low"], line["high"], color=colour, alpha=0.2)
        axis.set(title=title, xlabel=variable, xscale="log", yscale="log")
        axis.set_xticks(*_labelled({x for line in lines.values() for x in line["x"]}))
        axis.set_yticks(
            *_labelled(_round_values([y for line in lines.values() for y in line["y"]]))
        )
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    plt.close(figure)
    return figure


def _labelled(values: Collection[float]) -> tuple[list[float], list[str]]:
    """Ticks at the values themselves, in place of powers of ten."""
    return sorted(values), [f"{value:g}" for value in sorted(values)]


def _round_values(measured: Sequence[float]) -> set[float]:
    """The least and the largest with two digits, and between them 1, 2 and 5 times powers of ten
    that keep their distance."""
    least, largest = (float(f"{end(measured):.2g}") for end in (min, max))
    steps = (m * 10.0**p for p in range(-6, 10) for m in (1, 2, 5))
    return {least, largest} | {s for s in steps if 1.3 * least < s < largest / 1.3}
