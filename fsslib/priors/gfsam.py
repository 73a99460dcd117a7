"""GF-SAM's maps and points: what resembles the support's object more than its background.

Zhang et al., NeurIPS 2024 (arXiv 2410.06964), released code ANDYZAQ/GF-SAM f227d1d (MIT). The code
differs from the paper's Eq. 1: it divides each channel by its norm over the picture's own cells
(`channel_norm`) and has no ReLU; 128 points are the most. `mask_graph.py` goes on from here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fsslib.fp32 import in_fp32

COSINE_EPS, MEAN_EPS, RANGE_EPS = 1e-7, 1e-7, 1e-6
MOST_POINTS = 128


class PositiveNegative(NamedTuple):
    """Maps of a query on the features' grid."""

    maximum: Float[Tensor, "h w"]
    """M: the best weighed cosine with an object cell, mean over shots."""
    mean: Float[Tensor, "h w"]
    """A: mean cosine with the object's cells."""
    negative: Float[Tensor, "h w"]
    """A-: the same with the cells of its background."""
    positive: Float[Tensor, "h w"]
    """X = mm(A · M), 0..1."""
    contrast: Float[Tensor, "h w"]
    """X - mm(A-): the object is where it is not negative."""
    filtered: Float[Tensor, "h w"]
    """F: X where it is at least mm(A-), 0 elsewhere."""


@in_fp32
def channel_norm(features: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """Each channel divided by its L2 norm over the cells of its own picture: a whitening of
    channel scale, before any cosine is taken."""
    return F.normalize(features.flatten(-2), dim=-1).view_as(features)


@in_fp32
def cosines(
    support: Float[Tensor, "k c h w"], query: Float[Tensor, "c h2 w2"]
) -> Float[Tensor, "k n m"]:
    """c_ij of support cell j (row n) and query cell i (column m), 1e-7 added to the norms."""
    rows, columns = support.flatten(2), query.flatten(1)
    norms = rows.norm(dim=1)[:, :, None] * columns.norm(dim=0)
    return torch.einsum("kcn,cm->knm", rows, columns) / (norms + COSINE_EPS)


@in_fp32
def weighed_maps(
    cosine: Float[Tensor, "k n m"], masks: Float[Tensor, "k h w"]
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Largest and mean of m_j c_ij over support cells j, then the mean over shots.

    Args:
        masks: soft, 0..1; cells outside put a floor of 0 under the largest.
    """
    weight = masks.flatten(1)[:, :, None]
    weighed = cosine * weight
    mean = weighed.mean(1) / (weight.mean(1) + MEAN_EPS)
    return weighed.amax(1).mean(0), mean.mean(0)


@in_fp32
def min_max(maps: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Stretched to 0..1, with 1e-6 added to the range."""
    return (maps - maps.min()) / (maps.max() - maps.min() + RANGE_EPS)


@in_fp32
def positive_negative_maps(
    support: Float[Tensor, "k c h w"],
    query: Float[Tensor, "c h2 w2"],
    masks: Float[Tensor, "k h w"],
    negatives: Float[Tensor, "k h w"] | None = None,
    relu: bool = False,
) -> PositiveNegative:
    """Steps 2 and 3.

    Args:
        support, query: features, after `channel_norm` as released.
        masks: soft masks of the object on the grid.
        negatives: of its background; None: 1 - `masks`, which is the same where nothing is ignored.
        relu: cosines below 0 count as 0, as Eq. 1 has it and the code has not.
    """
    cosine = cosines(support, query)
    cosine = cosine.relu() if relu else cosine
    grid = query.shape[1:]
    best, mean = (each.view(grid) for each in weighed_maps(cosine, masks))
    outside = 1 - masks if negatives is None else negatives
    negative = weighed_maps(cosine, outside)[1].view(grid)
    positive = min_max(mean * best)
    contrast = positive - min_max(negative)
    return PositiveNegative(best, mean, negative, positive, contrast, positive * (contrast >= 0))


@in_fp32
def point_cells(filtered: Float[Tensor, "h w"], most: int = MOST_POINTS) -> Int64[Tensor, "p 2"]:
    """(column, row) of the largest cells of F: as many as its sum, rounded down, at least one if
    there is anything and at most `most`; in order of column, then row. None where F is zero, where
    the released code stops with an undefined name."""
    total = float(filtered.sum())
    if not total > 0:
        return torch.zeros(0, 2, dtype=torch.int64, device=filtered.device)
    count = min(max(int(total), 1), most, filtered.numel())
    hot = torch.zeros_like(filtered, dtype=torch.bool)
    hot.view(-1)[filtered.flatten().topk(count).indices] = True
    return hot.T.nonzero()  # rows of the transpose are columns


def point_pixels(
    cells: Int64[Tensor, "p 2"], grid: tuple[int, int], size: tuple[int, int]
) -> Int64[Tensor, "p 2"]:
    """Points (x, y) in pixels of a picture of `size` (rows, columns): each cell's top-left corner,
    not its centre, cut to whole numbers. The released code's picture has 1024 x 1024."""
    scale = torch.tensor([size[1] / grid[1], size[0] / grid[0]], dtype=torch.float64)
    return (cells.cpu().double() * scale).long().to(cells.device)


@in_fp32
def probability(
    mean: Float[Tensor, "h w"], masks: Bool[Tensor, "p rows columns"]
) -> Float[Tensor, "rows columns"]:
    """Of each pixel the largest, over masks that hold it, of the mask's mean of A (enlarged
    bilinearly); 0 where there is no mask. The released code computes it and never returns it."""
    if not len(masks):
        return mean.new_zeros(masks.shape[1:])
    size = tuple(masks.shape[1:])
    full = F.interpolate(mean[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    weight = masks.flatten(1).to(mean.dtype)
    means = weight @ full.flatten() / weight.sum(1).clamp_min(1)
    return (means[:, None, None] * masks).amax(0)
