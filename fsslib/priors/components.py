"""Connected pieces of many masks at once, without waiting for the device in between.

Every piece gets the smallest cell number in it: pieces hook onto the smallest piece beside them,
and pointers are followed to their ends (Shiloach and Vishkin, 1982, with minima). In two rounds
every piece that is not whole yet joins another one, because a neighbour that preferred a third one
has by then a smaller number than its own: 2 log2(cells) rounds always suffice. On a device they
are all made, since asking whether it is done would cost a wait; on a CPU the asking costs nothing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor


def components(masks: Bool[Tensor, "b h w"]) -> Int64[Tensor, "b h w"]:
    """Number of each cell's 8-connected piece: that of its first cell, row by row, from 0; cells
    outside the masks have their own."""
    height, width = masks.shape[-2:]
    cells = torch.arange(height * width, device=masks.device)
    labels = cells.expand(len(masks), -1).clone()
    jumps = max(1, math.ceil(math.log2(max(2, height * width))))
    for _ in range(2 * jumps):
        before = labels
        smallest = _smallest_beside(labels.view_as(masks), masks).flatten(1)
        labels = labels.scatter_reduce(1, labels, smallest, "amin")
        for _ in range(jumps):
            labels = labels.gather(1, labels)
        if masks.device.type == "cpu" and torch.equal(labels, before):
            break
    return labels.view_as(masks)


def _smallest_beside(labels: Tensor, masks: Tensor) -> Tensor:
    """Each cell's smallest label among itself and its neighbours in the mask."""
    nowhere = labels[0].numel()
    shown = labels.where(masks, nowhere)
    padded = F.pad(shown, (1, 1, 1, 1), value=nowhere)
    across = torch.minimum(torch.minimum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    best = torch.minimum(torch.minimum(across[:, :-2], across[:, 1:-1]), across[:, 2:])
    return torch.where(masks, best, labels)
