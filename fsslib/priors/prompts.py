"""Points for a mask generator from one annotated picture: Matcher's and PerSAM's.

Matcher (Liu et al., ICLR 2024) assigns support cells to query cells and back; PerSAM (Zhang et al.,
ICLR 2024) asks for the most and the least similar place. What Matcher does with the masks of its
points (random subsets, an Earth mover's distance, twelve settings that differ by benchmark) is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.grid_masks import soft_mask, touched_mask

MANY_PAIRS = 40
"""Beyond so many Matcher keeps the better half of its pairs."""


class Matching(NamedTuple):
    """M pairs of support and query cells."""

    similarity: Float[Tensor, "s n"]
    """Cosine of every support cell (all shots') with every query cell."""
    rows: Int64[Tensor, " m"]
    """Support cells, under the mask."""
    columns: Int64[Tensor, " m"]
    """Query cells, each at most once."""
    retained: Bool[Tensor, " m"]
    """Pairs whose way back ends in the mask."""
    selected: Int64[Tensor, " q"]
    """Pairs that become points, the most similar first."""
    cells: Int64[Tensor, "p 2"]
    """(column, row) of the points' cells, row by row."""

    @property
    def cost(self) -> Float[Tensor, "s n"]:
        """(1 - S) / 2, for an Earth mover's distance."""
        return (1 - self.similarity) / 2


@in_fp32
def match_cells_both_ways(
    support: Float[Tensor, "k c h w"],
    query: Float[Tensor, "c h2 w2"],
    masks: Bool[Tensor, "k h w"],
) -> Matching:
    """Matcher's bidirectional assignment (Hungarian, the largest sum of cosines).

    Forward, masked support cells are assigned to query cells; in reverse those query cells to all
    support cells. A pair stays if its reverse partner lies in the mask, even if that is another
    cell than the one it came from; if none stays, all do.
    """
    rows = F.normalize(support, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    similarity = rows @ F.normalize(query, dim=0).flatten(1)
    inside = masks.flatten().nonzero()[:, 0]
    own, columns = _assign(similarity[inside])
    _, back = _assign(similarity.T[columns])
    retained = torch.isin(back, inside)
    pairs = (retained if retained.any() else ~retained).nonzero()[:, 0]
    selected = _better(similarity[inside[own[pairs]], columns[pairs]], pairs)
    unique = columns[selected].unique()
    width = query.shape[-1]
    cells = torch.stack([unique % width, unique // width], 1)
    return Matching(similarity, inside[own], columns, retained, selected, cells)


def _assign(similarity: Tensor) -> tuple[Tensor, Tensor]:
    pairs = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    rows, columns = (torch.from_numpy(each.astype(np.int64)) for each in pairs)
    return rows.to(similarity.device), columns.to(similarity.device)


def _better(similarity: Tensor, pairs: Tensor) -> Tensor:
    order = pairs[similarity.argsort(descending=True, stable=True)]
    return order[: len(order) // 2] if len(order) > MANY_PAIRS else order


def centre_pixels(
    cells: Int64[Tensor, "p 2"], grid: Sequence[int], size: Sequence[int]
) -> Int64[Tensor, "p 2"]:
    """(x, y) of cells' centres in a picture of `size`; with a patch of 14: cell · 14 + 7."""
    strides = torch.tensor([size[1] / grid[1], size[0] / grid[0]], dtype=torch.float64)
    places = cells.cpu() * strides + (strides / 2)
    return places.long().to(cells.device)


def box_of(points: Int64[Tensor, "p 2"]) -> Int64[Tensor, "4"]:
    """x0, y0, x1, y1 of the smallest box that holds all points."""
    return torch.cat([points.amin(0), points.amax(0)])


@in_fp32
def persam_map(
    support: Float[Tensor, "c h w"],
    query: Float[Tensor, "c h2 w2"],
    mask: Bool[Tensor, "rows columns"],
    size: Sequence[int],
) -> Float[Tensor, "height width"]:
    """PerSAM's cosine with the mean of the cells under the mask (bilinear, above 0), four times
    enlarged and brought to the photograph's size, bilinearly. A mask that bilinear sampling misses
    has the cells that it touches."""
    cells = soft_mask(mask, support.shape[1:], align_corners=False) > 0
    cells = cells if cells.any() else touched_mask(mask, support.shape[1:])
    target = F.normalize(support[:, cells].mean(1), dim=0)
    cosine = torch.einsum("c,chw->hw", target, F.normalize(query, dim=0))[None, None]
    rows, columns = query.shape[1:]
    for side in ((4 * rows, 4 * columns), tuple(size)):
        cosine = F.interpolate(cosine, side, mode="bilinear", align_corners=False)
    return cosine[0, 0]


def select_points(
    similarity: Float[Tensor, "h w"], count: int = 1
) -> tuple[Int64[Tensor, "p 2"], Int64[Tensor, "p 2"]]:
    """PerSAM's prompts: (x, y) of the `count` most similar places, most similar first, and of the
    least similar ones, least similar first."""
    flat, width = similarity.flatten(), similarity.shape[1]
    most = flat.topk(count).indices
    least = flat.topk(count, largest=False).indices
    return tuple(torch.stack([each % width, each // width], 1) for each in (most, least))
