"""Masks on the grid of features, as each training-free method brings them there.

The papers differ, and small objects feel it: FSSDINO takes the nearest pixel, INSID3 cells of which
more than half is object (and mends what is then empty), GF-SAM soft shares, Matcher every cell that
is touched. No function here waits for a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

EMPTY_SQUARE = 14
"""Side in pixels of the square that GF-SAM puts into the middle of an empty mask."""


def nearest_mask(
    masks: Shaped[Tensor, "*n rows columns"], grid: Sequence[int]
) -> Shaped[Tensor, "*n h w"]:
    """The pixel nearest to each cell's corner, as FSSDINO reads masks (PyTorch's "nearest").
    Values stay as they are, 255 too."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float()
    small = F.interpolate(flat, tuple(grid), mode="nearest")
    return small.to(masks.dtype).reshape(*masks.shape[:-2], *grid)


def soft_mask(
    masks: Shaped[Tensor, "*n rows columns"], grid: Sequence[int], align_corners: bool = True
) -> Float[Tensor, "*n h w"]:
    """Bilinear, 0..1: what GF-SAM weighs cells with (supports with aligned corners)."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float()
    small = F.interpolate(flat, tuple(grid), mode="bilinear", align_corners=align_corners)
    return small.reshape(*masks.shape[:-2], *grid)


def half_mask(mask: Shaped[Tensor, "rows columns"], grid: Sequence[int]) -> Bool[Tensor, "h w"]:
    """INSID3's cells of a mask: bilinear and above one half; where none is, the nearest pixel's;
    where still none is, the cell of the centroid.

    The released code divides both coordinates of the centroid by one number, W // w, and stops
    with an error at a mask without any pixel; here such a mask has no cell.
    """
    cells = soft_mask(mask, grid, align_corners=False) > 0.5
    if not cells.any():
        cells = nearest_mask(mask, grid) > 0
    if not cells.any() and (mask > 0).any():
        step = max(1, mask.shape[-1] // grid[1])
        centroid = (mask > 0).nonzero().float().mean(0)
        row, column = (int(place // step) for place in centroid)
        cells[min(row, grid[0] - 1), min(column, grid[1] - 1)] = True
    return cells


def touched_mask(
    masks: Shaped[Tensor, "*n rows columns"], grid: Sequence[int]
) -> Bool[Tensor, "*n h w"]:
    """Matcher's cells: those with any pixel of the mask."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float()
    share = F.adaptive_avg_pool2d(flat, tuple(grid))
    return (share > 0).reshape(*masks.shape[:-2], *grid)


def largest_cell(
    masks: Shaped[Tensor, "s rows columns"], grid: Sequence[int]
) -> Bool[Tensor, "s h w"]:
    """The one cell of all pictures that holds most of the mask; none where there is no mask."""
    share = F.adaptive_avg_pool2d(masks[:, None].float(), tuple(grid))[:, 0]
    cells = torch.zeros_like(share, dtype=torch.bool)
    if share.max() > 0:
        cells.view(-1)[share.argmax()] = True
    return cells


def centre_square(
    mask: Shaped[Tensor, "rows columns"], side: int = EMPTY_SQUARE
) -> Shaped[Tensor, "rows columns"]:
    """The mask, or where it is empty a square in the middle of the picture (GF-SAM)."""
    square = torch.zeros_like(mask)
    top, left = (max(0, length // 2 - side // 2) for length in mask.shape)
    square[top : top + side, left : left + side] = 1
    return torch.where((mask > 0).any(), mask, square)
