"""How far a score moves with the choice of test pictures: the jackknife over query pictures.

Each picture is left out in turn, with all of its episodes, which are not independent of each other
(arXiv:2409.02850). The spread of what remains is the error of whatever was computed of the list:
one run's score (`Meter.interval`) or the difference of two (`comparison.compare`). It says nothing
of training seeds.

Why not percentiles of a bootstrap: of a list with few pictures a class, drawn anew with
replacement, they see too little spread. `tests/benchmarks/coverage.py` measures both on lists whose
truth is known; its figures stand in `papermill_runs/README.md`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64


def mean_iou(sums: Int64[np.ndarray, "*lists rows _"]) -> np.ndarray | np.floating:
    """Mean over the rows with a union of intersection over union, which stand first in a row."""
    hit, union = sums[..., 0], sums[..., 1]
    seen = union > 0
    iou = np.where(seen, hit / np.maximum(union, 1), 0.0)
    return iou.sum(-1) / np.maximum(seen.sum(-1), 1)


def numbered(pictures: Sequence[Hashable]) -> Int64[np.ndarray, " episodes"]:
    """Each episode's query picture as a number, 0 for the first that appears."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(each, len(number)) for each in pictures], np.int64)


def by_picture(
    owner: Int64[np.ndarray, " episodes"], table: Int64[np.ndarray, "episodes rows 2"], count: int
) -> Int64[np.ndarray, "pictures rows 2"]:
    """Areas of each of `count` pictures, summed over its episodes."""
    sums = np.zeros((count, *table.shape[1:]), np.int64)
    np.add.at(sums, owner, table)
    return sums


def left_out(sums: Int64[np.ndarray, "pictures rows 2"]) -> Float64[np.ndarray, " pictures"]:
    """The mean IoU without each of the pictures. A class that nothing remains of is left out of
    the mean."""
    return mean_iou(sums.sum(0) - sums)


def standard_error(left: Float64[np.ndarray, " pictures"]) -> float:
    """Of what was computed without each of the pictures; infinite for less than two of them, which
    say nothing of others."""
    pictures = len(left)
    if pictures < 2:
        return float("inf")
    return float(np.sqrt((pictures - 1) * np.var(left)))


def bounds(
    estimate: float, error: float, level: float, least: float, most: float
) -> tuple[float, float]:
    """The interval of a normal distribution, within what the score can be."""
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    return max(estimate - half, least), min(estimate + half, most)
