"""How well maps point at objects, before anything is thresholded or trained."""

from __future__ import annotations

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
