"""How well maps point at objects, before anything is thresholded or trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, UInt8
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
    both = torch.stack([(masks == value).flatten(1).any(1) for value in (1, 0)]).tolist()
    for number, (object_, rest) in enumerate(zip(*both, strict=True)):
        if not object_ or not rest:
            what = "no object" if not object_ else "nothing but object"
            raise ValueError(f"mask {number} has {what}; the AUROC compares the two")
    return _auroc(_resized(maps, masks), masks).cpu().double().numpy()


def _auroc(maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """The same of maps at the masks' size, on their device; NaN for masks with one label only.

    Pairs are counted: below how many object pixels each background pixel lies, and at how many.
    """
    flat, labels = maps.flatten(1).contiguous(), masks.flatten(1)
    inside, outside = labels == 1, labels == 0
    background = flat.where(outside, torch.inf).sort(1).values
    below, up_to = (torch.searchsorted(background, flat, side=side) for side in ("left", "right"))
    twice = (below + up_to).where(inside, 0).sum(1)  # an integer: exact
    pairs = 2 * inside.sum(1) * outside.sum(1)
    return twice.to(_precise(maps)) / pairs


def best_iou(maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]) -> float:
    """Foreground IoU over all pictures at the best threshold that is common to them: one of 0.05,
    0.1, ... 0.95."""
    maps, valid, thing = _resized(maps, masks), masks != IGNORE, masks == 1
    scores = []
    for threshold in np.linspace(0.05, 0.95, 19):
        predicted = (maps > threshold) & valid
        scores.append(float((predicted & thing).sum() / (predicted | thing).sum().clamp(min=1)))
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
    return _curve(_counts(maps, masks, thresholds).cpu().numpy())


def _counts(maps: Tensor, masks: Tensor, thresholds: Sequence[float]) -> Int64[Tensor, "rows b"]:
    """Rows: object pixels above each threshold, all pixels above each, object pixels, pixels that
    count."""
    maps, valid, thing = _resized(maps, masks), masks != IGNORE, masks == 1
    above = [(maps > threshold) & valid for threshold in thresholds]
    parts = [*(part & thing for part in above), *above, thing, valid]
    return torch.stack([part.flatten(1).sum(1) for part in parts])


def _curve(counts: Int64[np.ndarray, "rows b"]) -> ThresholdCurve:
    counts = counts.astype(np.float64)
    (hits, called), (things, valid) = np.split(counts[:-2], 2), counts[-2:]
    return ThresholdCurve(
        hits / things,
        hits.sum(1) / things.sum(),
        called.sum(1) / valid.sum(),
        hits.sum(1) / np.maximum(called.sum(1), 1),
    )


class MapMeter:
    """All scores of one kind of map, over many pictures, a batch at a time.

    Pictures without object, or with nothing else, cannot be asked; they are left out.
    """

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self.thresholds = thresholds
        self.scores: list[Float[Tensor, "2 b"]] = []
        self.counts: list[Int64[Tensor, "rows b"]] = []

    def add(self, maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]) -> None:
        """Count the maps of a batch of pictures; their device is not waited for."""
        maps = _resized(maps, masks)  # once for all three
        self.scores.append(torch.stack([_auroc(maps, masks), _contrast(maps, masks)]))
        self.counts.append(_counts(maps, masks, self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """Means over pictures: `auroc` and its 95 % interval, `dark_on_objects` (how many have one
        below a half), `contrast`; by threshold `recall`, `recall_pooled`, `coverage`, `precision`.
        Nothing where no picture could be asked."""
        if not self.scores:
            return {}
        scores, contrasts = torch.cat(self.scores, 1).cpu().double().numpy()
        valid = ~np.isnan(scores)
        if not valid.any():
            return {}
        scores, contrasts = scores[valid], contrasts[valid]
        curve = _curve(torch.cat(self.counts, 1).cpu().numpy()[:, valid])
        named = {"recall": curve.recall} | dict(zip(curve._fields[1:], curve[1:], strict=True))
        return {
            "pictures": len(scores),
            "auroc": float(scores.mean()),
            "auroc_interval": list(mean_interval(scores)),
            "dark_on_objects": float((scores < 0.5).mean()),
            "contrast": float(contrasts.mean()),
            "thresholds": [round(float(threshold), 4) for threshold in self.thresholds],
            **{name: [round(float(x), 4) for x in values] for name, values in named.items()},
        }


def contrast(
    maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b H W"]
) -> Float64[np.ndarray, " b"]:
    """Of each map, its mean on the object minus its mean on the background: above 0, objects are
    bright. Pixels marked 255 are left out."""
    return _contrast(_resized(maps, masks), masks).cpu().double().numpy()


def _contrast(maps: Float[Tensor, "b h w"], masks: UInt8[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    precise = maps.to(_precise(maps))

    def mean(where: Tensor) -> Tensor:
        return precise.where(where, 0).flatten(1).sum(1) / where.flatten(1).sum(1).clamp(min=1)

    return mean(masks == 1) - mean(masks == 0)


def mean_interval(
    values: Float64[np.ndarray, " n"], resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of `values`, drawn anew with replacement."""
    drawn = np.random.default_rng(seed).choice(values, (resamples, len(values)))
    low, high = np.quantile(drawn.mean(1), (0.025, 0.975))
    return float(low), float(high)


def _precise(maps: Tensor) -> torch.dtype:
    """The widest floating point that the maps' device has."""
    return torch.float32 if maps.device.type == "mps" else torch.float64


def _resized(maps: Tensor, masks: Tensor) -> Tensor:
    size = masks.shape[-2:]
    return F.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=True)[:, 0]
