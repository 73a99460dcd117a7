"""`compare(a, b)`: how much better one run is than another on the same episodes, and how surely.

Two methods meet the same easy and hard pictures, so that their difference is known far better than
either score. It is computed on the same resampled lists (`resampling`): each query picture is left
out in turn, of both runs and of all folds and seeds at once. Folds are fixed: the difference is the
mean of theirs, and the interval is of other pictures, not of other classes. What training seeds
move is nested in the folds and told apart, from three seeds on.

Positive is better for `a`. Probability of improvement: that the true difference is above zero,
given these pictures; `pictures_won` is the one of Agarwal et al. (arXiv:2108.13264, section 4.3),
P(X > Y) with ties as a half, over query pictures in place of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import t as student

from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.pairing import (
    Owners,
    Pairs,
    Runs,
    as_runs,
    paired,
    picture_numbers,
    require_same_list,
)
from fsslib.evaluation.resampling import (
    bounds,
    by_picture,
    left_out,
    mean_iou,
    standard_error,
)

Read = Callable[[EpisodeTable], np.ndarray]
LEAST_SEEDS = 3
"""Fewer say nothing of how far seeds scatter."""


@dataclass(frozen=True)
class Difference:
    """Of one score, in 0..1; means over folds and seeds."""

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    """Over query pictures."""
    probability: float
    """That `a` is better: 1 surely, 0 surely not, a half where nothing tells."""
    p_value: float
    """Two-sided, of no difference; `holm` corrects those of a table."""
    seeds_interval: tuple[float, float] | None
    """Over training seeds; None for less than three."""


@dataclass(frozen=True)
class Comparison:
    """Of two runs, or of two rows of runs on the same folds and seeds."""

    miou: Difference
    fb_iou: Difference
    pictures_won: float
    """Share of query pictures on which `a` has the larger foreground IoU; ties count a half."""
    pictures: int
    episodes: int
    folds: tuple[int, ...]
    seeds: tuple[int, ...]


def compare(
    a: EpisodeTable | Runs,
    b: EpisodeTable | Runs,
    level: float = 0.95,
    same_supports: bool = True,
) -> Comparison:
    """Paired difference of mIoU and FB-IoU between two evaluations of one list.

    Args:
        a, b: of one run each, or of the same folds and seeds each. A row with one seed stands
            beside each seed of the other one.
        level: of the intervals.
        same_supports: whether episodes must also have the same supports; without, runs with other
            numbers of shots can be compared, query by query.

    Raises:
        ValueError: the runs, or their lists, are not the same; says where they part.
    """
    pairs = paired(as_runs(a), as_runs(b))
    for (fold, _), (one, other) in pairs.items():
        require_same_list(one, other, f"fold {fold}: ", same_supports)
    owners, pictures = picture_numbers(pairs)
    return Comparison(
        _difference(pairs, owners, pictures, EpisodeTable.by_class, level),
        _difference(pairs, owners, pictures, EpisodeTable.pooled, level),
        float(np.mean([_won(owners[key], pictures, *pair) for key, pair in pairs.items()])),
        pictures,
        sum(len(one) for one, _ in pairs.values()),
        tuple(sorted({fold for fold, _ in pairs})),
        tuple(sorted({seed for _, seed in pairs})),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, corrected so that the chance of even one false difference
    among them stays below the level (Holm 1979): the smallest times their number, and so on."""
    order, count = np.argsort(p_values), len(p_values)
    steps = np.asarray(p_values, float)[order] * np.arange(count, 0, -1)
    corrected = np.empty(count)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def _difference(
    pairs: Pairs, owners: Owners, pictures: int, read: Read, level: float
) -> Difference:
    """Of one score, which `read` says the rows of."""
    scores, left = {}, {}
    for key, pair in pairs.items():
        sums = [by_picture(owners[key], read(table), pictures) for table in pair]
        scores[key] = np.array([mean_iou(each.sum(0)) for each in sums])
        left[key] = left_out(sums[0]) - left_out(sums[1])
    by_run = {key: score[0] - score[1] for key, score in scores.items()}
    a, b = (float(score) for score in _mean(scores))
    difference, error = float(_mean(by_run)), standard_error(_mean(left))
    certainty = difference / max(error, 1e-300)  # without any error sure, but of no difference
    return Difference(
        a,
        b,
        difference,
        bounds(difference, error, level, -1.0, 1.0),
        NormalDist().cdf(certainty),
        2 * NormalDist().cdf(-abs(certainty)),
        _over_seeds(by_run, difference, level),
    )


def _mean(values: Mapping[tuple[int, int], np.ndarray | float]) -> np.ndarray | np.floating:
    """Over folds, of means over each fold's seeds."""
    folds = sorted({fold for fold, _ in values})
    return np.mean(
        [np.mean([v for (f, _), v in values.items() if f == fold], axis=0) for fold in folds],
        axis=0,
    )


def _over_seeds(
    by_run: Mapping[tuple[int, int], float], difference: float, level: float
) -> tuple[float, float] | None:
    """Interval of the mean over folds by the spread of seeds within each (Student's t)."""
    folds = sorted({fold for fold, _ in by_run})
    groups = [np.array([v for (f, _), v in by_run.items() if f == fold]) for fold in folds]
    if min(len(group) for group in groups) < LEAST_SEEDS:
        return None
    variance = sum(group.var(ddof=1) / len(group) for group in groups) / len(folds) ** 2
    freedom = sum(len(group) - 1 for group in groups)
    half = float(student.ppf((1 + level) / 2, freedom) * np.sqrt(variance))
    return max(difference - half, -1.0), min(difference + half, 1.0)


def _won(
    owner: Int64[np.ndarray, " episodes"], pictures: int, a: EpisodeTable, b: EpisodeTable
) -> float:
    """Share of a list's pictures on which `a` is the better one."""
    one, other = (by_picture(owner, t.pooled(), pictures)[:, 1] for t in (a, b))
    shown = np.unique(owner)
    ious = [_iou(each[shown]) for each in (one, other)]
    return float(((ious[0] > ious[1]) + (ious[0] == ious[1]) / 2).mean())


def _iou(areas: Int64[np.ndarray, "pictures 2"]) -> Float64[np.ndarray, " pictures"]:
    """Of each picture by itself; 1 where there is nothing, and nothing is called an object."""
    return np.where(areas[:, 1] > 0, areas[:, 0] / np.maximum(areas[:, 1], 1), 1.0)
