"""The one meter: integer counts per episode, and every score derived from them.

mIoU is the mean over the fold's classes of sum(I) / sum(U), both accumulated over all episodes of
a class; FB-IoU pools all foreground and all background. Averaging the IoU of single episodes is a
different number (`per_episode`), and is labelled as one. The official code scores a class without
an episode as 0 (`miou(classes=5)` does); here such classes are left out and counted
(`classes_seen`).

N-way: counts go to the global id of each of an episode's N classes, also of those that the query
does not show: what is wrongly called by their name costs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from fsslib.data.benchmark import Benchmark
from fsslib.data.sampler import EpisodeSpec
from fsslib.evaluation.counting import areas, count, tally
from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.resampling import (
    bounds,
    by_picture,
    left_out,
    mean_iou,
    numbered,
    standard_error,
)

__all__ = ["Meter", "Score", "count", "episode_table"]

Score = Literal["miou", "fb_iou"]


class Meter:
    """Collects the areas of episodes and answers with scores in 0..1.

    Attributes:
        classes: each episode's class ids.
        counts: each episode's `areas`.
        queries: query picture of an episode, by its number; where it is not known, an episode
            counts as a picture of its own.
        sureness: how surely the method said that an object is there, by the episode's number, where
            it was asked (`absence`).
    """

    def __init__(self) -> None:
        self.classes: list[tuple[int, ...]] = []
        self.counts: list[np.ndarray] = []
        self.queries: dict[int, str] = {}
        self.sureness: dict[int, float] = {}

    def add(
        self,
        prediction: UInt8[Tensor, "h w"],
        target: UInt8[Tensor, "h w"],
        class_ids: Sequence[int],
        query: str | None = None,
    ) -> None:
        """One episode; labels 1..N stand for `class_ids` in order."""
        tallied = tally(prediction, target, len(class_ids)).cpu().numpy()
        self.add_tally(tallied, class_ids, query)

    def add_tally(
        self, tallied: Int64[np.ndarray, " cells"], class_ids: Sequence[int], query: str | None
    ) -> None:
        """One episode by its `tally`."""
        ids = tuple(int(c) for c in class_ids)
        if len(set(ids)) < len(ids):
            raise ValueError(f"class_ids={ids}: an episode's classes differ from each other")
        counts = areas(tallied, len(ids))
        if query is not None:
            self.queries[len(self)] = query
        self.classes.append(ids)
        self.counts.append(counts)

    def __len__(self) -> int:
        return len(self.counts)

    def part(self, numbers: Sequence[int]) -> Meter:
        """Some of the episodes, as a meter of their own."""
        chosen = Meter()
        chosen.classes = [self.classes[number] for number in numbers]
        chosen.counts = [self.counts[number] for number in numbers]
        for place, number in enumerate(numbers):
            chosen.queries[place] = self.queries.get(number, str(number))
            if number in self.sureness:
                chosen.sureness[place] = self.sureness[number]
        return chosen

    def class_ids(self) -> list[int]:
        """Class ids that occurred, in increasing order."""
        return sorted({c for classes in self.classes for c in classes})

    def per_class(self) -> dict[int, dict[str, int]]:
        """Intersection, union and target in pixels, and number of episodes, of every class seen."""
        table = self._table()
        return {
            c: {
                "intersection": int(table[:, i, 0].sum()),
                "union": int(table[:, i, 1].sum()),
                "target": int(table[:, i, 2].sum()),
                "episodes": sum(c in classes for classes in self.classes),
            }
            for i, c in enumerate(self.class_ids())
        }

    def miou(self, classes: int | None = None) -> float:
        """Mean over classes of accumulated intersection over accumulated union.

        Args:
            classes: divide by so many instead of those seen, as the official code does with a
                fold's: each without an episode then counts 0.
        """
        sums = self._table().sum(0)
        mean, seen = float(mean_iou(sums)), int((sums[:, 1] > 0).sum())
        if classes is not None and classes < seen:
            raise ValueError(f"classes={classes}: {seen} have been seen; give the fold's number")
        return mean if classes is None else mean * seen / classes

    def fb_iou(self) -> float:
        """Mean of foreground and background IoU, both pooled over all episodes and classes."""
        return float(mean_iou(self._pooled().sum(0)))

    def miou_with_background(self) -> float:
        """The same mean with the background as one more class. Another number: label it."""
        sums = np.concatenate([self._table().sum(0), self._pooled().sum(0)[:1]])
        return float(mean_iou(sums))

    def per_episode(self) -> Float64[np.ndarray, " episodes"]:
        """Foreground IoU of each episode by itself; 1 where neither side has foreground."""
        hit, union, _ = self._pooled()[:, 1].T
        return np.where(union > 0, hit / np.maximum(union, 1), 1.0)

    def mean_accuracy(self) -> float:
        """Mean over background and foreground of the share of its pixels that are called so, both
        pooled: "mAcc" in PFENet's code and those made from it. Of several classes the foreground is
        merged, as for FB-IoU."""
        hit, target = self._pooled().sum(0)[:, [0, 2]].T
        return float((hit / np.maximum(target, 1))[target > 0].mean()) if target.any() else 0.0

    def pixel_accuracy(self) -> float:
        """Share of all counted pixels that have their right label: "allAcc" in the same code."""
        background, classes = self._pooled().sum(0)[0], self._table().sum((0, 1))
        hit, target = (background[i] + classes[i] for i in (0, 2))
        return float(hit / max(target, 1))

    def interval(self, score: Score, level: float = 0.95) -> tuple[float, float]:
        """Interval of a score over query pictures (`resampling`), within 0..1.

        How far the score moves with the choice of test pictures, not with training seeds. A list of
        one picture says nothing of others: (0, 1).
        """
        if score not in get_args(Score):
            raise ValueError(f"score={score!r}: expected one of {get_args(Score)}")
        table = self.by_picture(score)
        error = standard_error(left_out(table))
        return bounds(float(mean_iou(table.sum(0))), error, level, 0.0, 1.0)

    def by_picture(self, score: Score) -> Int64[np.ndarray, "pictures rows 2"]:
        """Intersection and union of each query picture, in order of first appearance; rows are
        classes ("miou") or background and foreground ("fb_iou")."""
        table = (self._table() if score == "miou" else self._pooled())[..., :2]
        owner = numbered([self.queries.get(episode, episode) for episode in range(len(self))])
        return by_picture(owner, table, int(owner.max()) + 1)

    def _table(self) -> Int64[np.ndarray, "episodes classes 3"]:
        self._require_episodes()
        column = {c: i for i, c in enumerate(self.class_ids())}
        table = np.zeros((len(self), len(column), 3), np.int64)
        for row, classes, counts in zip(table, self.classes, self.counts, strict=True):
            for c, area in zip(classes, counts[2:], strict=True):
                row[column[c]] = area
        return table

    def _pooled(self) -> Int64[np.ndarray, "episodes 2 3"]:
        self._require_episodes()
        return np.stack([counts[:2] for counts in self.counts])

    def _require_episodes(self) -> None:
        if not self.counts:
            raise ValueError("the meter is empty; add() at least one episode before asking")


def episode_table(meter: Meter, benchmark: Benchmark, specs: Sequence[EpisodeSpec]) -> EpisodeTable:
    """What a meter holds of a whole list, with the pictures of each episode by their ids."""
    ids = {split: benchmark.picture_ids(split) for split in {spec.split for spec in specs}}

    def named(spec: EpisodeSpec, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(ids[spec.split][number] for number in numbers)

    queries = tuple(named(spec, [spec.query])[0] for spec in specs)
    supports = tuple(tuple(named(spec, shots) for shots in spec.supports) for spec in specs)
    return EpisodeTable(queries, supports, np.array(meter.classes), np.stack(meter.counts))
