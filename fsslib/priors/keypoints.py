"""Key points carried from one picture to another (INSID3's correspondences)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fsslib.fp32 import in_fp32


class Correspondence(NamedTuple):
    """Of P key points."""

    similarity: Float[Tensor, "p h w"]
    """Cosine of each support point's cell with every query cell."""
    points: Float[Tensor, "p 2"]
    """(x, y) in pixels of the query photograph."""


def point_cells(
    points: Float[Tensor, "p 2"], size: Sequence[int], grid: Sequence[int]
) -> Int64[Tensor, "p 2"]:
    """(column, row) of points (x, y) in pixels: x·w/W, rounded half to even, inside the grid.

    Args:
        size: rows and columns of the photograph; `grid`: of its features.
    """
    scale = points.new_tensor([grid[1] / size[1], grid[0] / size[0]])
    last = torch.tensor([grid[1] - 1, grid[0] - 1], device=points.device)
    return torch.minimum((points * scale).round().long().clamp(min=0), last)


@in_fp32
def transfer_keypoints(
    support: Float[Tensor, "c h w"],
    query: Float[Tensor, "c h2 w2"],
    points: Float[Tensor, "p 2"],
    support_size: Sequence[int],
    query_size: Sequence[int],
    sigma: float = 7.0,
    temperature: float = 0.04,
) -> Correspondence:
    """Where each point lies in the query: the expected place under a softmax of similarities that a
    Gaussian around the best cell has multiplied.

    A cell's number times the stride is its corner, not its centre, on the way back.

    Args:
        support, query: unit features, debiased or plain.
        support_size, query_size: rows and columns of the photographs.
        sigma: of the Gaussian, in cells.
    """
    cells = point_cells(points, support_size, support.shape[-2:])
    at_points = support[:, cells[:, 1], cells[:, 0]]  # (c, p)
    similarity = torch.einsum("cp,chw->phw", at_points, query)
    rows, columns = query.shape[-2:]
    y, x = torch.meshgrid(
        *(torch.arange(n, device=query.device) for n in (rows, columns)), indexing="ij"
    )
    best = similarity.flatten(1).argmax(1)[:, None, None]
    squares = (x - best % columns).square() + (y - best // columns).square()
    near = similarity * torch.exp(-squares / (2 * sigma**2))
    weight = (near.flatten(1) / temperature).softmax(1)
    place = torch.stack([weight @ x.flatten().float(), weight @ y.flatten().float()], 1)
    stride = place.new_tensor([query_size[1] / columns, query_size[0] / rows])
    return Correspondence(similarity, place * stride)
