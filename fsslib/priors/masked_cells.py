"""Only the cells under a mask, where it costs nothing to know how many there are.

Prior masks, matching attention and clustering ask a support for its masked cells alone: a fifth of
a picture, and a fifth of the work. On a GPU the number of cells would have to be waited for, and
all of them are computed sooner than that.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor


def masked_cells(masks: Shaped[Tensor, "b n"], spare: int = 0) -> Int64[Tensor, "b m"] | None:
    """Where each picture's cells under its mask are, in order, then some that are not under it: as
    many as the fullest mask has, and `spare` more, at least one and at most n. None on a device
    other than the CPU, and where nothing would be left out."""
    if masks.device.type != "cpu":
        return None
    inside = masks != 0
    most = max(1, int(inside.sum(1).max()) + spare)
    if most >= masks.shape[1]:
        return None
    return inside.argsort(dim=1, descending=True, stable=True)[:, :most]


def take_cells(
    cells: Float[Tensor, "b n c"], places: Int64[Tensor, "b m"]
) -> Float[Tensor, "b m c"]:
    """Rows of each picture's cells."""
    return cells[torch.arange(len(cells))[:, None], places]
