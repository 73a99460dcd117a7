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
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from fsslib.data.episode import IGNORE

Score = Literal["miou", "fb_iou"]


def count(
    prediction: UInt8[Tensor, "h w"], target: UInt8[Tensor, "_ _"], way: int
) -> Int64[np.ndarray, "rows 2"]:
    """Intersection and union in pixels; rows: background, all foreground, class 1..N.

    255 in the target leaves a pixel out. Counts are exact integers of any size.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in size"
        )
    valid = target != IGNORE
    size = way + 1
    for name, labels in (("prediction", prediction), ("target", target[valid])):
        if labels.numel() and int(labels.max()) > way:
            raise ValueError(f"{name} holds label {int(labels.max())}; expected 0 to way={way}")
    joint = target[valid].long() * size + prediction[valid].long()
    confusion = torch.bincount(joint, minlength=size * size).view(size, size).cpu().numpy()
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    foreground = confusion[1:, 1:].sum(), confusion.sum() - confusion[0, 0]
    return np.stack([(hit[0], union[0]), foreground, *zip(hit[1:], union[1:], strict=True)])


class Meter:
    """Collects the counts of episodes and answers with scores in 0..1."""

    def __init__(self) -> None:
        self.classes: list[tuple[int, ...]] = []
        self.counts: list[np.ndarray] = []

    def add(
        self,
        prediction: UInt8[Tensor, "h w"],
        target: UInt8[Tensor, "h w"],
        class_ids: Sequence[int],
    ) -> None:
        """One episode; labels 1..N stand for `class_ids` in order."""
        ids = tuple(int(c) for c in class_ids)
        if len(set(ids)) < len(ids):
            raise ValueError(f"class_ids={ids}: an episode's classes differ from each other")
        counts = count(prediction, target, len(ids))
        self.classes.append(ids)
        self.counts.append(counts)

    def __len__(self) -> int:
        return len(self.counts)

    def class_ids(self) -> list[int]:
        """Class ids that occurred, in increasing order."""
        return sorted({c for classes in self.classes for c in classes})

    def per_class(self) -> dict[int, dict[str, int]]:
        """Intersection, union and number of episodes of every class seen."""
        table = self._table()
        return {
            c: {
                "intersection": int(table[:, i, 0].sum()),
                "union": int(table[:, i, 1].sum()),
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
        mean, seen = float(_mean_iou(sums)), int((sums[:, 1] > 0).sum())
        if classes is not None and classes < seen:
            raise ValueError(f"classes={classes}: {seen} have been seen; give the fold's number")
        return mean if classes is None else mean * seen / classes

    def fb_iou(self) -> float:
        """Mean of foreground and background IoU, both pooled over all episodes and classes."""
        return float(_mean_iou(self._pooled().sum(0)))

    def miou_with_background(self) -> float:
        """The same mean with the background as one more class. Another number: label it."""
        sums = np.concatenate([self._table().sum(0), self._pooled().sum(0)[:1]])
        return float(_mean_iou(sums))

    def per_episode(self) -> Float64[np.ndarray, " episodes"]:
        """Foreground IoU of each episode by itself; 1 where neither side has foreground."""
        hit, union = self._pooled()[:, 1].T
        return np.where(union > 0, hit / np.maximum(union, 1), 1.0)

    def interval(
        self, score: Score, resamples: int = 1000, seed: int = 0, level: float = 0.95
    ) -> tuple[float, float]:
        """Bootstrap percentile interval: episodes drawn anew with replacement.

        Says how far the score moves with the choice of test episodes; not with training seeds.
        """
        if score not in get_args(Score):
            raise ValueError(f"score={score!r}: expected one of {get_args(Score)}")
        table = self._table() if score == "miou" else self._pooled()
        rng, episodes = np.random.default_rng(seed), len(self)
        weights = rng.multinomial(episodes, np.full(episodes, 1 / episodes), size=resamples)
        sums = np.tensordot(weights, table, axes=1)  # (resamples, rows, 2)
        low, high = np.quantile(_mean_iou(sums), [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def _table(self) -> Int64[np.ndarray, "episodes classes 2"]:
        self._require_episodes()
        column = {c: i for i, c in enumerate(self.class_ids())}
        table = np.zeros((len(self), len(column), 2), np.int64)
        for row, classes, counts in zip(table, self.classes, self.counts, strict=True):
            for c, pair in zip(classes, counts[2:], strict=True):
                row[column[c]] = pair
        return table

    def _pooled(self) -> Int64[np.ndarray, "episodes 2 2"]:
        self._require_episodes()
        return np.stack([counts[:2] for counts in self.counts])

    def _require_episodes(self) -> None:
        if not self.counts:
            raise ValueError("the meter is empty; add() at least one episode before asking")


def _mean_iou(sums: np.ndarray) -> np.ndarray | np.floating:
    """(…, rows, 2) of intersection and union -> mean IoU over the rows with a union."""
    hit, union = sums[..., 0], sums[..., 1]
    seen = union > 0
    iou = np.where(seen, hit / np.maximum(union, 1), 0.0)
    return iou.sum(-1) / np.maximum(seen.sum(-1), 1)
