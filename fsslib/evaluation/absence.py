"""When an object is not there: how surely a method says so, and from which score on it is believed.

Users ask about pictures that do not show the object; benchmarks never do. A list with
`queries="half_absent"` asks every support twice, once with a query that shows its class and once
with one that does not. What is scored is how well one number per query tells the two apart, and
what a threshold on it is worth that was chosen on other classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.stats import mannwhitneyu
from torch import Tensor

from fsslib.evaluation.meter import Meter
from fsslib.evaluation.resampling import bounds, standard_error

TOP = 0.01
"""Share of a picture's pixels, the surest ones, whose mean probability is the score."""


def sureness(probability: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """How sure a method is that each class is there, 0 to 1."""
    count = max(1, int(TOP * probability[0].numel()))
    return probability.flatten(1).topk(count, dim=1).values.mean(1)


@dataclass(frozen=True)
class Answers:
    """Scores of queries that hold the class, and of ones that do not."""

    present: Float64[np.ndarray, " n"]
    absent: Float64[np.ndarray, " m"]

    @property
    def auroc(self) -> float:
        """How often a query with the class has the higher score of two."""
        u = mannwhitneyu(self.present, self.absent).statistic
        return float(u) / (len(self.present) * len(self.absent))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of the AUROC over query pictures: the jackknife, of both kinds by themselves."""
        wins = (self.present[:, None] > self.absent) + (self.present[:, None] == self.absent) / 2
        left = [(wins.sum() - wins.sum(axis)) for axis in (1, 0)]
        sizes = [wins.size - wins.shape[axis] for axis in (1, 0)]
        errors = [standard_error(each / max(n, 1)) for each, n in zip(left, sizes, strict=True)]
        return bounds(self.auroc, float(np.hypot(*errors)), level, 0.0, 1.0)

    def right(self, threshold: float) -> tuple[float, float]:
        """Share of present ones that are believed, and of absent ones that are refused."""
        return float((self.present >= threshold).mean()), float((self.absent < threshold).mean())

    def best_threshold(self) -> float:
        """Where the mean of both shares is largest; in the middle of a gap. Where all scores are
        equal, that score, which refuses nothing."""
        values = np.unique(np.concatenate([self.present, self.absent]))
        if len(values) == 1:
            return float(values[0])
        middles = (values[:-1] + values[1:]) / 2
        return float(max(middles, key=lambda t: sum(self.right(t))))


def answers_of(meter: Meter) -> Answers:
    """The scores that a meter was told of a list whose every second query lacks the object."""
    scores = np.array([meter.sureness[number] for number in range(len(meter))])
    return Answers(scores[0::2], scores[1::2])


def absence(novel: Meter, base: Meter, calibrated_on: str) -> dict[str, Any]:
    """What `results.json` says of absent objects; all in 0..1.

    Args:
        novel: of the test list. base: of the list of other classes that the threshold is from.

    Returns:
        `auroc` and its interval; `threshold`, chosen on `calibrated_on` classes (`auroc_base` on
        them); shares of present queries that are believed and of absent ones that are refused with
        it; `marked_when_absent`, the mean share of pixels called object where there is none;
        `miou_present` of queries with an object, where `miou` is of all; both with refused queries
        left empty; each query's score.
    """
    scores, known = answers_of(novel), answers_of(base)
    threshold = known.best_threshold()
    believed, refused = scores.right(threshold)
    present, lacking = (novel.part(range(start, len(novel), 2)) for start in (0, 1))
    refusing = _refused(novel, threshold)
    pixels = np.stack([areas[0, 0] + areas[1, 1] for areas in lacking.counts])
    marked = np.stack([areas[1, 1] for areas in lacking.counts])
    return {
        "auroc": scores.auroc,
        "auroc_interval": list(scores.interval()),
        "calibrated_on": calibrated_on,
        "auroc_base": known.auroc,
        "threshold": threshold,
        "present_believed": believed,
        "absent_refused": refused,
        "marked_when_absent": float((marked / pixels).mean()),
        "miou_present": present.miou(),
        "miou_present_refusing": refusing.part(range(0, len(novel), 2)).miou(),
        "miou_refusing": refusing.miou(),
        "sureness": {"present": scores.present.tolist(), "absent": scores.absent.tolist()},
    }


def _refused(meter: Meter, threshold: float) -> Meter:
    """The same episodes, with nothing marked in those below the threshold."""
    refusing = meter.part(range(len(meter)))
    refusing.counts = [
        areas if meter.sureness[number] >= threshold else _emptied(areas)
        for number, areas in enumerate(meter.counts)
    ]
    return refusing


def _emptied(areas: Int64[np.ndarray, "rows 3"]) -> Int64[np.ndarray, "rows 3"]:
    """An episode's areas if nothing had been called object."""
    target = areas[:, 2]
    pixels = target[0] + target[1]
    intersection = np.where(np.arange(len(areas)) == 0, target, 0)
    union = np.where(np.arange(len(areas)) == 0, pixels, target)
    return np.stack([intersection, union, target], 1)
