"""How well maps point at objects, before anything is thresholded or trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float64, UInt8
from scipy.stats import rankdata
from torch import Tensor

from fsslib.data.episode import IGNORE


def auroc(maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]) -> Float64[np.ndarray, " b"]:
    """Of each map, the chance that an object pixel is brighter than a background pixel, 0..1.

    The area under the ROC curve: half is chance, ties count half. It needs no threshold and does
    not see a stretch. Maps are resized as methods resize their priors; pixels marked 255 are left
    out.

    Raises:
        ValueError: a mask without object or without background (names the picture).
    """
    scores = []
    for number, (map_, mask) in enumerate(zip(_resized(maps, masks), masks, strict=True)):
        valid = mask != IGNORE
        thing = (mask[valid] == 1).numpy()
        yes, no = int(thing.sum()), int((~thing).sum())
        if not yes or not no:
            what = "no object" if not yes else "nothing but object"
            raise ValueError(f"mask {number} has {what}; the AUROC compares the two")
        ranks = rankdata(map_[valid].numpy())
        scores.append((ranks[thing].sum() - yes * (yes + 1) / 2) / (yes * no))
    return np.array(scores)


def best_iou(maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]) -> float:
    """Foreground IoU over all pictures at the best threshold that is common to them: one of 0.05,
    0.1, ... 0.95."""
    maps, valid, thing = _resized(maps, masks), masks != IGNORE, masks == 1
    scores = []
    for threshold in np.linspace(0.05, 0.95, 19):
        found = (maps > threshold) & valid
        scores.append(float((found & thing).sum() / (found | thing).sum().clamp(min=1)))
    return max(scores)


class ThresholdCurve(NamedTuple):
    """What maps call object at each of T thresholds, over B pictures; all in 0..1.

    Recall alone proves nothing: a map that is bright everywhere has recall 1. Its price is in the
    other two.
    """

    recall_per_image: Float64[np.ndarray, "t b"]
    """Share of a picture's object pixels above the threshold (QGNet, Eq. 16)."""
    recall_pooled: Float64[np.ndarray, " t"]
    """The same over the object pixels of all pictures together."""
    coverage: Float64[np.ndarray, " t"]
    """Share of all pixels above the threshold."""
    precision: Float64[np.ndarray, " t"]
    """Share of the pixels above it that are object, pooled; 0 where none is above."""

    @property
    def recall(self) -> Float64[np.ndarray, " t"]:
        """Mean over pictures. The paper does not say which mean it prints."""
        return self.recall_per_image.mean(1)


def threshold_curve(
    maps: Float[Tensor, "b h w"],
    masks: UInt8[Tensor, "b H W"],
    thresholds: Sequence[float] = tuple(np.linspace(0.1, 0.9, 9)),
) -> ThresholdCurve:
    """Recall, coverage and precision of `maps > threshold` (QGNet's Table VII has the first only).

    Raises:
        ValueError: a mask without object (names the picture).
    """
    maps, valid, thing = _resized(maps, masks), masks != IGNORE, masks == 1
    things = thing.flatten(1).sum(1)
    if empty := (things == 0).nonzero().flatten().tolist():
        raise ValueError(f"masks {empty} have no object; recall is a share of it")
    hits, above = [], []
    for threshold in thresholds:
        said = (maps > threshold) & valid
        hits.append((said & thing).flatten(1).sum(1).double().numpy())
        above.append(float(said.sum()))
    found, said_in_all = np.stack(hits), np.array(above)
    return ThresholdCurve(
        found / things.numpy(),
        found.sum(1) / int(things.sum()),
        said_in_all / int(valid.sum()),
        found.sum(1) / np.maximum(said_in_all, 1),
    )


def contrast(
    maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]
) -> Float64[np.ndarray, " b"]:
    """Of each map, its mean on the object minus its mean on the background: above 0, objects are
    bright. Pixels marked 255 are left out."""
    maps = _resized(maps, masks).double()
    inside, outside = (masks == 1).double(), (masks == 0).double()

    def mean(where: Tensor) -> Tensor:
        return (maps * where).flatten(1).sum(1) / where.flatten(1).sum(1).clamp(min=1)

    return (mean(inside) - mean(outside)).numpy()


def mean_interval(
    values: Float64[np.ndarray, " n"], resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of `values`, drawn anew with replacement."""
    drawn = np.random.default_rng(seed).choice(values, (resamples, len(values)))
    low, high = np.quantile(drawn.mean(1), (0.025, 0.975))
    return float(low), float(high)


def _resized(maps: Tensor, masks: Tensor) -> Tensor:
    size = masks.shape[-2:]
    return F.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=True)[:, 0]
