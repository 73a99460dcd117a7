"""From annotated supports to what stands for a class in CLIP's space.

All is this repository's own: the idea's source names "support images instead of text" and leaves
open how. Masks reach the grid by averaging over each cell's area, without pixels of 255, so that a
thin object keeps a weight; nothing is cut at one half where a weight will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import crop, resize

from fsslib.methods.clip_dinoiser.model import DenseView
from fsslib.priors.similarity import unit

Masks = Float[Tensor, "b n k h w"]
Shots = Literal["mean", "pixels"]


@dataclass(frozen=True)
class Supports:
    """Supports of a batch on CLIP's grid: N classes, K shots."""

    features: Float[Tensor, "b n k d h w"]
    """Unit vectors."""
    embedding: Float[Tensor, "b n k e h w"]
    """Unit vectors of the heads' own space."""
    foreground: Masks
    """Share of each cell that is the class."""
    background: Masks
    """Share of each cell that is no class of the episode."""

    @classmethod
    def of(cls, view: DenseView, masks: Shaped[Tensor, "b n k rows columns"]) -> Supports:
        """From what CLIP-DINOiser sees of all supports in a row (B·N·K pictures)."""
        shape, grid = masks.shape[:3], tuple(view.pooled.shape[-2:])
        return cls(
            unit(view.pooled, 1).unflatten(0, shape),
            view.embedding.unflatten(0, shape),
            share(masks == 1, grid),
            share(masks == 0, grid),
        )


def share(chosen: Bool[Tensor, "b n k rows columns"], grid: tuple[int, int]) -> Masks:
    """Which part of each cell is `chosen`, 0..1. Pixels of 255 are in nobody's part."""
    parts = F.adaptive_avg_pool2d(chosen.flatten(0, 2)[:, None].float(), grid)
    return parts[:, 0].unflatten(0, chosen.shape[:3])


def cells_of(weights: Float[Tensor, "*batch h w"]) -> Bool[Tensor, "*batch h w"]:
    """Cells that belong for at least one half; where none does, the one that does most, unless
    there is nothing at all."""
    most = weights.amax((-2, -1), keepdim=True)
    return (weights >= most.clamp_max(0.5)) & (weights > 0)


def prototype(
    features: Float[Tensor, "*batch k d h w"], weights: Float[Tensor, "*batch k h w"], shots: Shots
) -> Float[Tensor, "*batch d"]:
    """Weighted mean direction: of each shot and then of those (`mean`), or of the pixels of all.

    Shots without any weight take no part; without any at all the prototype is zero.
    """
    sums = torch.einsum("...kdhw,...khw->...kd", features, weights)
    return unit((unit(sums, -1) if shots == "mean" else sums).sum(-2), -1)


def background_prototype(supports: Supports, shots: Shots) -> Float[Tensor, "b d"]:
    """The same over support cells of no episode class, all N·K supports being shots of one."""
    return prototype(supports.features.flatten(1, 2), supports.background.flatten(1, 2), shots)


def centre(supports: Supports) -> Float[Tensor, "b d"]:
    """Mean feature of an episode's supports."""
    weights = supports.foreground + supports.background
    total = torch.einsum("bnkdhw,bnkhw->bd", supports.features, weights)
    return total / weights.sum((1, 2, 3, 4))[:, None].clamp_min(1e-6)


def centred(supports: Supports, mean: Float[Tensor, "b d"]) -> Supports:
    """Features seen from `mean`, unit again: every cell counts alike in what is pooled of them,
    where pooling first and subtracting then would count far cells more."""
    features = unit(supports.features - mean[:, None, None, :, None, None], 3)
    return Supports(features, supports.embedding, supports.foreground, supports.background)


def correspondence_prior(
    query: Float[Tensor, "b e h w"], supports: Supports
) -> Float[Tensor, "b n h w"]:
    """How well each query cell matches a class's best support cell, minus its best match among
    those supports' background; -2..2.

    An extension of the heads' metric: it was learned between cells of one picture only.
    """
    matches = torch.einsum("behw,bnkexy->bnhwkxy", query, supports.embedding)
    object_, rest = (
        _best(matches, cells_of(weights)) for weights in (supports.foreground, supports.background)
    )
    return object_ - rest


def _best(matches: Tensor, cells: Bool[Tensor, "b n k x y"]) -> Tensor:
    """Largest match among `cells`; 0 where there are none."""
    shown = cells[:, :, None, None]
    best = matches.masked_fill(~shown, -torch.inf).amax((-3, -2, -1))
    return torch.where(shown.any((-3, -2, -1), keepdim=False), best, 0.0)


def object_crops(
    inputs: Float[Tensor, "m 3 h w"],
    masks: Bool[Tensor, "m h w"],
    side: int,
    margin: float = 0.1,
) -> Float[Tensor, "m 3 side side"]:
    """The square around each object's box and a margin, everything else in CLIP's mean colour;
    resized as open_clip resizes (bicubic with antialias).

    Args:
        inputs: normalised, so that the mean colour is 0.
        margin: on every side, in parts of the box's longer side.
    """
    crops = [
        crop(picture, *_square(*extents, margin))  # zeros where it reaches out of the picture
        for picture, extents in zip(inputs * masks[:, None], _extents(masks), strict=True)
    ]
    bicubic = InterpolationMode.BICUBIC
    return torch.stack([resize(each, [side, side], bicubic, antialias=True) for each in crops])


def _square(
    rows: tuple[int, int], columns: tuple[int, int], margin: float
) -> tuple[int, int, int, int]:
    """Top, left, height and width of the square around an extent and a margin."""
    (top, bottom), (left, right) = rows, columns
    side = max(1, round(max(bottom - top, right - left) * (1 + 2 * margin)))
    return (top + bottom - side) // 2, (left + right - side) // 2, side, side


def _extents(masks: Bool[Tensor, "m h w"]) -> list[list[tuple[int, int]]]:
    """First and past-the-last row and column of each mask; the whole picture where nothing is.
    Crops of many sizes need them on the host: all are read at once."""
    ends = []
    for shown in (masks.any(2), masks.any(1)):
        first, last = shown.int().argmax(1), shown.shape[1] - shown.flip(1).int().argmax(1)
        ends += [first.where(shown.any(1), 0), last]
    return [
        [(top, bottom), (left, right)] for top, bottom, left, right in torch.stack(ends, 1).tolist()
    ]
