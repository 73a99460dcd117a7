"""Answers to a question, and what is made of them while a slider is dragged.

Networks run when a picture, a mask or a word changes; a threshold needs the probability alone, an
option what encoders have said before (`own_pictures.choice.build` keeps both).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from jaxtyping import Float32, UInt8

from fsslib.own_pictures.answer import Segmentation
from fsslib.own_pictures.choice import build
from fsslib.own_pictures.playground.case import Case
from fsslib.own_pictures.playground.menu import Entry, Option, adjusted
from fsslib.own_pictures.refusal import thresholds
from fsslib.own_pictures.segmenting import segment
from fsslib.viz.overlay import iou

LIKELY = 0.5
"""The threshold that a method itself uses: more likely object than not."""


@dataclass(frozen=True)
class Answer:
    """What one method says of a case.

    Attributes:
        seconds: from pictures to probabilities, the first time with all encoder passes.
    """

    entry: Entry
    segmentation: Segmentation
    seconds: float

    @property
    def probability(self) -> Float32[np.ndarray, "h w"]:
        return self.segmentation.probability[0]

    def mask(self, threshold: float = LIKELY) -> UInt8[np.ndarray, "h w"]:
        """1 where the object is more likely than the threshold."""
        return (self.probability > threshold).astype(np.uint8)

    def iou(
        self, truth: UInt8[np.ndarray, "h w"] | None, threshold: float = LIKELY
    ) -> float | None:
        """With the truth, pixels of 255 left out; None where it is not known."""
        return None if truth is None else iou(self.mask(threshold), truth)


def ask(case: Case, entry: Entry, options: Mapping[Option, bool | float] | None = None) -> Answer:
    """One method's answer.

    Raises:
        ValueError: the case lacks what the method reads, or as `segment`. WeightsError: weights
            that cannot be had.
    """
    if missing := entry.lacks(case.marked, bool(case.word)):
        raise ValueError(f"{entry.name} reads a {missing}, and there is none; give one")
    method = adjusted(build(entry.choice), dict(options or {}))
    begin = perf_counter()
    by_mask = "mask" in entry.reads
    answer = segment(
        case.query,
        case.support if by_mask else None,
        case.mask if by_mask else None,
        case.word or None,
        method=method,
        image_size=entry.choice.image_size,
    )
    seconds, label = perf_counter() - begin, entry.choice.label
    # Thresholds of being there were measured with a method's own settings.
    threshold = None if options else thresholds().get(label)
    return Answer(entry, replace(answer, method=label, threshold=threshold), seconds)
