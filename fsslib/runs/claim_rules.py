"""Rules by which differences between rows become a verdict on a claim: pure functions of numbers.

A difference has an estimate and a standard error, both in points. `higher`: it is above zero;
`equal`: it is within a margin on both sides; `not_lower`: it is above minus the margin. A claim of
several differences holds if each of them does at 95 %, and fails if one contradicts it at 95 %,
corrected for their number (Bonferroni), so that many differences are no more likely to fail by
chance than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

Verdict = Literal["holds", "fails", "cannot tell", "contradicted by the paper's own tables"]
HOLDS, FAILS, OPEN, CONTRADICTED = get_args(Verdict)
Rule = Literal["higher", "equal", "not_lower"]
LEVEL = 0.95
ROUNDING = 0.051
"""Points that two printed numbers may differ by and be the same: each has one decimal."""


@dataclass(frozen=True)
class Measured:
    """A difference of ours."""

    estimate: float
    """Points; positive as the claim has it."""
    error: float
    """Standard error."""
    paired: bool = False
    """Whether it was computed episode by episode, on one list."""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        half = NormalDist().inv_cdf((1 + level) / 2) * self.error
        return self.estimate - half, self.estimate + half


def verdict(rule: Rule, measured: Sequence[Measured], margin: float = 0.0) -> Verdict:
    """Of our own differences on a claim; without any it cannot be told."""
    if not measured:
        return OPEN
    stricter = 1 - (1 - LEVEL) / len(measured)
    if all(_supports(rule, each.interval(), margin) for each in measured):
        return HOLDS
    if any(_contradicts(rule, each.interval(stricter), margin) for each in measured):
        return FAILS
    return OPEN


def _supports(rule: Rule, interval: tuple[float, float], margin: float) -> bool:
    low, high = interval
    if rule == "equal":
        return -margin < low and high < margin
    return low > (0 if rule == "higher" else -margin)


def _contradicts(rule: Rule, interval: tuple[float, float], margin: float) -> bool:
    low, high = interval
    if rule == "equal":
        return high < -margin or low > margin
    return high < (0 if rule == "higher" else -margin)


def states(left: float, relation: str, right: float) -> bool:
    """Whether two numbers stand as a paper says: `>`, `=` or `!=`, up to rounding. What is higher
    must be so as printed."""
    if relation == ">":
        return left - right > 1e-9
    return (abs(left - right) < ROUNDING) == (relation == "=")
