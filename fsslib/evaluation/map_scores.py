"""How well maps point at objects, before anything is thresholded or trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float64, UInt8
from scipy.stats import rankdata
from torch import Tensor

from fsslib.data.episode import IGNORE

THRESHOLDS = tuple(np.linspace(0.1, 0.9, 9))
"""Of QGNet's Table VII."""


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
    thresholds: Sequence[float] = THRESHOLDS,
) -> ThresholdCurve:
    """Recall, coverage and precision of `maps > threshold` (QGNet's Table VII has the first only).

    Raises:
        ValueError: a mask without object (names the picture).
    """
    if empty := ((masks == 1).flatten(1).sum(1) == 0).nonzero().flatten().tolist():
        raise ValueError(f"masks {empty} have no object; recall is a share of it")
    return _curve(*_counts(maps, masks, thresholds))


def _counts(maps: Tensor, masks: Tensor, thresholds: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Object pixels found and pixels called object (t, b), object pixels and all that count (b)."""
    maps, valid, thing = _resized(maps, masks), masks != IGNORE, masks == 1
    found, said = [], []
    for threshold in thresholds:
        above = (maps > threshold) & valid
        found.append((above & thing).flatten(1).sum(1).double().numpy())
        said.append(above.flatten(1).sum(1).double().numpy())
    things, all_ = (part.flatten(1).sum(1).double().numpy() for part in (thing, valid))
    return np.stack(found), np.stack(said), things, all_


def _curve(
    found: np.ndarray, said: np.ndarray, things: np.ndarray, valid: np.ndarray
) -> ThresholdCurve:
    return ThresholdCurve(
        found / things,
        found.sum(1) / things.sum(),
        said.sum(1) / valid.sum(),
        found.sum(1) / np.maximum(said.sum(1), 1),
    )


class MapMeter:
    """All scores of one kind of map, over many pictures, a batch at a time.

    Pictures without object, or with nothing else, cannot be asked; they are left out.
    """

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self.thresholds = thresholds
        self._auroc: list[np.ndarray] = []
        self._contrast: list[np.ndarray] = []
        self._counts: list[tuple[np.ndarray, ...]] = []

    def add(self, maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]) -> None:
        """Count the maps of a batch of pictures; on the CPU."""
        both = [(masks == value).flatten(1).any(1) for value in (0, 1)]
        maps, masks = maps[both[0] & both[1]], masks[both[0] & both[1]]
        if len(maps):
            maps = _resized(maps, masks)  # once for all three
            self._auroc.append(auroc(maps, masks))
            self._contrast.append(contrast(maps, masks))
            self._counts.append(_counts(maps, masks, self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """Means over pictures: `auroc` and its 95 % interval, `dark_on_objects` (how many have one
        below a half), `contrast`; by threshold `recall`, `recall_pooled`, `coverage`, `precision`.
        Nothing where no picture could be asked."""
        if not self._auroc:
            return {}
        scores = np.concatenate(self._auroc)
        curve = _curve(*(np.concatenate(part, -1) for part in zip(*self._counts, strict=True)))
        named = {"recall": curve.recall} | dict(zip(curve._fields[1:], curve[1:], strict=True))
        return {
            "pictures": len(scores),
            "auroc": float(scores.mean()),
            "auroc_interval": list(mean_interval(scores)),
            "dark_on_objects": float((scores < 0.5).mean()),
            "contrast": float(np.concatenate(self._contrast).mean()),
            "thresholds": [round(float(threshold), 4) for threshold in self.thresholds],
            **{name: [round(float(x), 4) for x in values] for name, values in named.items()},
        }


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
