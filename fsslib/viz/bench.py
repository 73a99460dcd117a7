"""Figures of the bench: how times and memory grow with what was swept over."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
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
        _ticks(axis, sorted({x for line in lines.values() for x in line["x"]}))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    plt.close(figure)
    return figure


def _ticks(axis: Axes, values: Sequence[float]) -> None:
    """The values themselves, in place of powers of ten."""
    axis.set_xticks(values, [f"{value:g}" for value in values])
    axis.minorticks_off()
