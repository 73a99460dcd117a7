"""Scores of a confusion matrix over all classes of a fold, as FSSDINO's code counts them.

Unlike the few-shot protocol (`meter.py`), which pools every class's own episodes, one matrix is
filled by all episodes, and pixels of the fold's other classes count against a prediction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class ConfusionScores(NamedTuple):
    """Shares, 0..1."""

    per_class: Float[np.ndarray, " n1"]
    """IoU of background and every class; 0 for a class that is neither there nor predicted."""
    miou: float
    """Mean over the classes, background left out."""
    fb_iou: float
    """Mean of that and the background's IoU."""


def confusion_scores(confusion: Int[np.ndarray, "n1 n1"]) -> ConfusionScores:
    """IoU of each class: what is right over what is that class or is called so.

    Args:
        confusion: counts of pixels; row and column 0 are the background.
    """
    right = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - right
    per_class = right / np.maximum(union, 1)
    miou = float(per_class[1:].mean())
    return ConfusionScores(per_class, miou, (miou + float(per_class[0])) / 2)
