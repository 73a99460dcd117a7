"""The exact distance transform of many masks at once, on any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

NOWHERE = 2**40
"""Squared distance to a background that does not exist."""


def to_background(inside: Bool[Tensor, "b h w"], official_border: bool) -> Int64[Tensor, "b h w"]:
    """Squared distance of each cell to the nearest one that is not inside; NOWHERE if none is.

    Exact: the nearest in each row, then the nearest row (Saito and Toriwaki, 1994). Memory: b h h w
    numbers, h of them the grid's rows.

    Args:
        official_border: only cells within each mask's bounding box are background; else what lies
            beyond the grid is, too.
    """
    if official_border:
        rows, columns = inside.any(2), inside.any(1)
        background = ~inside & _between(rows)[:, :, None] & _between(columns)[:, None]
    else:
        background = ~F.pad(inside, (1, 1, 1, 1))
    height, width = background.shape[1:]
    row = torch.arange(height, device=inside.device)
    column = torch.arange(width, device=inside.device)
    far = height + width  # farther than anything
    before = column.where(background, -far).cummax(2).values
    after = column.where(background, 2 * far).flip(2).cummin(2).values.flip(2)
    across = torch.minimum(column - before, after - column).clamp(max=far).square()
    down = (row[:, None] - row).square()[..., None]  # (h, h, 1)
    squares = (across[:, None] + down).amin(2)
    squares = squares.where(squares < far**2, NOWHERE)
    return squares if official_border else squares[:, 1:-1, 1:-1]


def _between(shown: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """From the first place that is shown to the last."""
    since, until = shown.cummax(1).values, shown.flip(1).cummax(1).values.flip(1)
    return since & until
