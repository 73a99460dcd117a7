"""How far each switch of the protocol moves each method, and whether it changes their order.

The study `protocol` scores every method as it is scored everywhere here (a row with the method's
name), then with one switch the other way (`METHOD_SWITCH`), and on other lists of as many episodes
(`METHOD_list_N`). On the same list a move is a paired difference; where the switch draws other
episodes it is a difference of two means, whose interval is wider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fsslib.config import ConfigError
from fsslib.runs.differences import difference, share_supports
from fsslib.runs.results import mean_and_half

Results = Mapping[str, Sequence[dict[str, Any]]]
LISTS = "list_"


@dataclass(frozen=True)
class Move:
    """What one switch does to one method, in points of mIoU."""

    method: str
    switch: str
    score: float
    """mIoU with the switch the other way, in percent."""
    points: float
    """Its difference to the method as it is scored everywhere."""
    interval: tuple[float, float]
    """95 %, over query pictures."""
    paired: bool

    @property
    def significant(self) -> bool:
        """Whether the move is distinguishable from zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


def methods_of(results: Results) -> list[str]:
    """Rows that are a method as it is scored everywhere: others add to their names."""
    return [
        row
        for row in results
        if any(other.startswith(f"{row}_") for other in results)
        and not any(row.startswith(f"{other}_") for other in results)
    ]


def switches_of(results: Results) -> list[str]:
    """Switches that at least one method was scored with, without lists."""
    seen = dict.fromkeys(
        row.removeprefix(f"{method}_")
        for method in methods_of(results)
        for row in results
        if row.startswith(f"{method}_")
    )
    return [switch for switch in seen if not switch.startswith(LISTS)]


def moves(results: Results) -> list[Move]:
    """Every method's moves, switch by switch."""
    return [
        _move(method, switch, results[method], results[row])
        for switch in switches_of(results)
        for method in methods_of(results)
        if (row := f"{method}_{switch}") in results
    ]


def _move(method: str, switch: str, usual: Sequence[dict], other: Sequence[dict]) -> Move:
    score, half = mean_and_half(other)
    try:
        one = difference(other, usual, share_supports(other, usual)).miou
    except ConfigError:  # other episodes
        before, half_before = mean_and_half(usual)
        points, width = score - before, float(np.hypot(half, half_before))
        return Move(method, switch, score, points, (points - width, points + width), False)
    low, high = (100 * bound for bound in one.interval)
    return Move(method, switch, score, 100 * one.difference, (low, high), True)


@dataclass(frozen=True)
class Order:
    """The methods by their scores under one switch, and what of that is another order."""

    switch: str
    methods: tuple[str, ...]
    """Best first."""
    swapped: tuple[tuple[str, str], ...]
    """Pairs of which the first is better as scored everywhere, and the second here."""


def orders(results: Results) -> list[Order]:
    """Of each switch, over the methods that were scored with it."""
    usual = {method: mean_and_half(results[method])[0] for method in methods_of(results)}
    made = []
    for switch in switches_of(results):
        scores = {
            method: mean_and_half(results[row])[0]
            for method in usual
            if (row := f"{method}_{switch}") in results
        }
        if len(scores) < 2:
            continue
        ranked = sorted(scores, key=scores.__getitem__, reverse=True)
        pairs = combinations(sorted(scores, key=usual.__getitem__, reverse=True), 2)
        swapped = tuple((a, b) for a, b in pairs if scores[a] < scores[b])
        made.append(Order(switch, tuple(ranked), swapped))
    return made


@dataclass(frozen=True)
class Lists:
    """One method on several lists of as many episodes, in percent."""

    method: str
    scores: tuple[float, ...]
    half: float
    """Of the first list's own 95 % interval: what one list says of the others."""

    @property
    def spread(self) -> float:
        """Standard deviation over the lists."""
        return float(np.std(self.scores, ddof=1))

    @property
    def covered(self) -> float:
        """Fraction of the further lists that the first one's interval holds, widened by their own
        scatter: two lists differ by the square root of two times what one differs from the
        truth."""
        reach = np.sqrt(2) * self.half
        return float(np.mean([abs(s - self.scores[0]) <= reach for s in self.scores[1:]]))


def lists(results: Results) -> list[Lists]:
    """Every method that was scored on further lists."""
    made = []
    for method in methods_of(results):
        rows = [row for row in results if row.startswith(f"{method}_{LISTS}")]
        if rows:
            first, half = mean_and_half(results[method])
            others = (mean_and_half(results[row])[0] for row in rows)
            made.append(Lists(method, (first, *others), half))
    return made
