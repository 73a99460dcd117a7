"""Figures of what results say: differences with their intervals, scores against seconds, pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from fsslib.runs.claim_rules import CONTRADICTED, FAILS, HOLDS, OPEN, Measured
from fsslib.runs.claims import Judged
from fsslib.runs.leaderboard import Entry, Pairwise
from fsslib.runs.switches import Lists, Move
from fsslib.viz.overlay import palette
from fsslib.viz.prose import minus

COLOURS = dict(zip((FAILS, HOLDS, OPEN, CONTRADICTED), palette(4) / 255, strict=True))

SIDES = 11 * np.array([(1, 0.7), (1, -0.7), (-1, 0.7), (-1, -0.7)])
"""Where a number may stand beside its spot, in points, the preferred side first."""


def claims_figure(known: Sequence[Judged], title: str) -> Figure:
    """Our differences on each claim with 95 % intervals, in the colour of the verdict: filled where
    they are paired. Claims without a difference are named, and bare."""
    lines = [
        (each, name, measured)
        for each in known
        for name, measured in (each.measured or {each.claim.where: None}).items()
    ]
    figure, axis = plt.subplots(figsize=(7.5, 1.1 + 0.24 * len(lines)), layout="constrained")
    axis.axvline(0, color="0.6", lw=1)
    for place, (each, _, measured) in enumerate(lines):
        colour = COLOURS[each.verdict]
        if isinstance(measured, Measured):
            low, high = measured.interval()
            axis.plot([low, high], [place, place], color=colour, lw=2)
            face = colour if measured.paired else "white"
            axis.plot(measured.estimate, place, "o", color=colour, mfc=face, ms=6)
        else:
            axis.plot(0, place, "x", color=colour, ms=6)
    # A row's study is that of the figure's paper in nearly all of them, and named where it is not.
    names = [
        f"{each.claim.id}: {_brief(name.replace(f'{each.claim.paper}/', ''))}"
        for each, name, _ in lines
    ]
    axis.set_yticks(range(len(lines)), names, fontsize=8)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set(
        xlabel="our difference in points, positive as the claim has it (logarithmic beyond ±3)",
        title=title,
    )
    axis.set_xscale("symlog", linthresh=3)
    ticks = [-30, -10, -3, 0, 3, 10, 30]
    axis.set_xlim(-50, 50)
    axis.set_xticks(ticks, [minus(f"{tick:+d}") if tick else "0" for tick in ticks])
    keys = [Line2D([], [], color=c, lw=3, label=v) for v, c in COLOURS.items()]
    keys += [_key("x", "no row tests it"), _key("o", "paired"), _key("o", "not paired", True)]
    axis.xaxis.set_minor_locator(NullLocator())
    figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=8)
    plt.close(figure)  # shown by whoever asked, once
    return figure


def leaderboard_figure(board: Sequence[Entry], title: str) -> Figure:
    """mIoU with its interval over seconds an episode, by places; in a strip of their own those that
    no bench has timed. A square where something was trained for the task."""
    figure, (timed, others) = plt.subplots(
        1, 2, figsize=(9, 5.2), sharey=True, layout="constrained", width_ratios=(3, 2)
    )
    plain, reads = palette(2) / 255
    untimed = [entry for entry in board if not entry.benched]
    for place, entry in enumerate(board, 1):
        colour, marker = reads if entry.reads_names else plain, "s" if entry.parameters else "o"
        style = {"color": colour, "marker": marker}
        axis, at = (timed, entry.seconds) if entry.benched else (others, untimed.index(entry))
        axis.errorbar(at, entry.miou, entry.half, ms=6, elinewidth=1, **style)
        label = f"{place}  {entry.row}{' (reads names)' if entry.reads_names else ''}"
        others.plot([], [], ls="", label=label, **style)
    timed.set(xscale="log", xlabel="seconds an episode", ylabel="mIoU in percent", title=title)
    timed.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    timed.xaxis.set_major_formatter("{x:g}")
    timed.xaxis.set_minor_locator(NullLocator())
    others.set(xlabel="not timed by a bench", xticks=[], xlim=(-1, max(len(untimed), 1)))
    others.add_line(_key("s", "trained for the task"))
    others.add_line(_key("o", "nothing trained"))
    others.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    figure.draw_without_rendering()  # the layout settles, so that places on the page are known
    for axis, chosen in ((timed, True), (others, False)):
        spots = {
            place: (entry.seconds if chosen else untimed.index(entry), entry.miou)
            for place, entry in enumerate(board, 1)
            if entry.benched == chosen
        }
        _number(axis, spots)
    plt.close(figure)  # shown by whoever asked, once
    return figure


def _brief(name: str) -> str:
    """A difference's name with a minus sign; what both of its sides share is named once, after it:
    `lfss − pfenet (main)`, `prior_region − guided_region (qgnet, recall@0.5)`."""
    sides, minus_sign = name.split(" - "), " \N{MINUS SIGN} "
    maps = [re.fullmatch(r"(.+):(\w+)\.(.+)", side) for side in sides]
    if len(maps) == 2 and all(maps):
        (row, first, score), (other, second, same) = (part.groups() for part in maps)
        if (row, score) == (other, same):
            return f"{first}{minus_sign}{second} ({row}, {score})"
    studies = [side.partition("/") for side in sides]
    if len(studies) == 2 and studies[0][:2] == studies[1][:2] and studies[0][1]:
        (study, _, first), (_, _, second) = studies
        return f"{first}{minus_sign}{second} ({study})"
    return minus_sign.join(sides)


def _key(marker: str, meaning: str, hollow: bool = False) -> Line2D:
    """What a mark means, whatever its colour."""
    face = "white" if hollow else "0.4"
    return Line2D([], [], color="0.4", marker=marker, mfc=face, ls="", label=meaning)


def _number(axis: Axes, spots: Mapping[int, tuple[float, float]]) -> None:
    """Numbers beside their spots, each on the side where it is farthest from spots and numbers."""
    scale = 72 / axis.figure.dpi  # pixels to points
    occupied = [scale * axis.transData.transform(spot) for spot in spots.values()]
    for (number, spot), place in zip(spots.items(), list(occupied), strict=True):
        room = [min(np.hypot(*(place + side - other)) for other in occupied) for side in SIDES]
        side = SIDES[int(np.argmax(np.round(room)))]
        style = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8}
        axis.annotate(str(number), spot, tuple(side), **style)
        occupied.append(place + side)


def pairwise_figure(pairs: Pairwise, title: str) -> Figure:
    """How probable it is that the row is better than the column; bold where that is sure."""
    count = len(pairs.rows)
    side = 2.2 + 0.46 * count
    figure, axis = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axis.imshow(100 * pairs.probability, cmap="RdBu", vmin=0, vmax=100)
    for i, j in np.argwhere(~np.isnan(pairs.probability)):
        value = 100 * pairs.probability[i, j]
        dark = abs(value - 50) > 35
        weight = "bold" if pairs.significant[i, j] else "normal"
        style = {"ha": "center", "va": "center", "fontsize": 11, "weight": weight}
        axis.text(j, i, f"{value:.0f}", color="white" if dark else "black", **style)
    axis.set_xticks(range(count), pairs.rows, rotation=60, ha="right", fontsize=10)
    axis.set_yticks(range(count), pairs.rows, fontsize=10)
    axis.set(title=title)
    figure.colorbar(image, label="probability of improvement in percent", shrink=0.7)
    plt.close(figure)  # shown by whoever asked, once
    return figure


def moves_figure(known: Sequence[Move], title: str) -> Figure:
    """A panel for each switch, all of one scale: how far it moves each method, with 95 % intervals;
    filled where the move is paired, hollow where the switch draws other episodes."""
    switches = list(dict.fromkeys(move.switch for move in known))
    methods = list(dict.fromkeys(move.method for move in known))[::-1]
    size = (2.2 + 1.9 * len(switches), 1.7 + 0.3 * len(methods))
    figure, axes = plt.subplots(
        1,
        len(switches),
        figsize=size,
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    significant, open_ = palette(2) / 255
    for axis, switch in zip(axes[0], switches, strict=True):
        axis.axvline(0, color="0.6", lw=1)
        for move in (move for move in known if move.switch == switch):
            place, colour = methods.index(move.method), significant if move.significant else open_
            axis.plot(move.interval, [place, place], color=colour, lw=2)
            face = colour if move.paired else "white"
            axis.plot(move.points, place, "o", color=colour, mfc=face, ms=6)
        axis.set(title=switch.replace("_", " "), xlabel="points")
        axis.margins(x=0.08)
    axes[0, 0].set_yticks(range(len(methods)), methods)
    axes[0, 0].set_ylim(-0.6, len(methods) - 0.4)
    keys = [Line2D([], [], color=significant, lw=3, label="distinguishable from zero")]
    keys.append(Line2D([], [], color=open_, lw=3, label="not distinguishable"))
    if not all(move.paired for move in known):
        keys.append(_key("o", "other episodes", hollow=True))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=8)
    figure.suptitle(title)
    plt.close(figure)  # shown by whoever asked, once
    return figure


def lists_figure(known: Sequence[Lists], title: str) -> Figure:
    """Scores of each method on several lists: the first with its own interval, the others as
    marks."""
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + 0.34 * len(known)), layout="constrained")
    first, others = palette(2) / 255
    for place, each in enumerate(known):
        bar = {"color": first, "elinewidth": 2, "marker": "o", "ms": 6}
        axis.errorbar(each.scores[0], place, xerr=each.half, **bar)
        further = each.scores[1:]
        axis.plot(further, [place] * len(further), "|", color=others, ms=12, mew=1.5)
    axis.set_yticks(range(len(known)), [each.method for each in known])
    axis.set_ylim(len(known) - 0.5, -0.5)
    axis.set(xlabel="mIoU in percent", title=title)
    keys = [Line2D([], [], color=first, marker="o", label="first list, 95 %")]
    keys.append(Line2D([], [], color=others, marker="|", ls="", ms=12, label="another list"))
    axis.legend(handles=keys, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    plt.close(figure)  # shown by whoever asked, once
    return figure
