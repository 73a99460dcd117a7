"""PIR: a rough prior spread along the attention of a Vision Transformer (PI-CLIP, Eqs. 9-11).

Attention says which cells belong together. Averaged over the last blocks and made nearly doubly
stochastic, it becomes a matrix that carries the prior from cell to cell, inside the boxes around
what the prior is sure of. Where PI-CLIP's paper and code differ: the code squares R once more (a
relic of CLIP-ES), and masks the columns of R where Eq. 11 prints a mask on its result.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.components import components

Affinity = Float[Tensor, "b n n"]
BoxOn = Literal["columns", "result"]


def mean_attention(attention: Float[Tensor, "b blocks tokens tokens"], last: int = 8) -> Affinity:
    """Mean over the `last` blocks, without the class token's row and column.

    Raises:
        ValueError: fewer blocks than asked for.
    """
    blocks = attention.shape[1]
    if not 1 <= last <= blocks:
        raise ValueError(f"last={last}: attention of {blocks} blocks was given")
    return attention[:, -last:, 1:, 1:].mean(1)


@in_fp32
def sinkhorn(affinity: Affinity, rounds: int = 1) -> Affinity:
    """Divide columns by their sums, then rows by theirs, `rounds` times (CLIP-ES: 3)."""
    for _ in range(rounds):
        affinity = affinity / affinity.sum(1, keepdim=True)
        affinity = affinity / affinity.sum(2, keepdim=True)
    return affinity


@in_fp32
def high_order(affinity: Affinity, square: bool = False) -> Affinity:
    """R = max(D, D D'): cells that look at the same cells belong together too.

    Args:
        square: R R in place of R, as the released code has it.
    """
    matrix = torch.maximum(affinity, affinity @ affinity.transpose(1, 2))
    return matrix @ matrix if square else matrix


def box_mask(prior: Float[Tensor, "b h w"], threshold: float = 0.4) -> UInt8[Tensor, "b h w"]:
    """1 inside the bounding boxes of what exceeds `threshold` of the map's maximum, else 0.

    As PI-CLIP's code counts: the prior in 0..1 is cut to 8 bits, pieces are 8-connected, boxes end
    before the last row and column. A piece that lies only there gets no box, an all-zero prior
    gets none at all.
    """
    levels = (255 * prior.float()).to(torch.uint8).long()
    # In double precision, as the code's numpy has it; made by the host, for devices without it.
    limits = (threshold * torch.arange(256, dtype=torch.float64)).long()
    limits = limits.to(prior.device, non_blocking=True)[levels.amax((1, 2))]
    return _filled(_boxes(levels > limits[:, None, None])).to(torch.uint8)


@in_fp32
def refine(
    prior: Float[Tensor, "b h w"],
    matrix: Affinity,
    boxes: Shaped[Tensor, "b h w"] | None = None,
    box_on: BoxOn = "columns",
) -> Float[Tensor, "b h w"]:
    """The prior spread along `matrix`: dense rows, so little contrast. Stretch it with `min_max`.

    Args:
        boxes: a mask of 0 and 1; None spreads everything everywhere.
        box_on: mask the "columns" of R, that is the prior that is spread (the code), or the
            "result" (Eq. 11 as printed).
    """
    flat = prior.flatten(1)
    mask = torch.ones_like(flat) if boxes is None else boxes.flatten(1).to(flat.dtype)
    if box_on == "columns":
        spread = torch.einsum("bij,bj->bi", matrix, mask * flat)
    else:
        spread = mask * torch.einsum("bij,bj->bi", matrix, flat)
    return spread.view_as(prior)


class _Boxes(NamedTuple):
    """Of each cell that is the first of its piece; ends are inclusive. (b, h w) each, and `exists`
    is 0 for all other cells."""

    exists: Tensor
    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor
    size: tuple[int, int]


def _boxes(masks: Bool[Tensor, "b h w"]) -> _Boxes:
    """Bounding boxes of all 8-connected pieces."""
    height, width = masks.shape[-2:]
    labels = components(masks).flatten(1)
    cells = torch.arange(height * width, device=masks.device)
    first = (labels == cells) & masks.flatten(1)
    ends = [
        places.expand_as(labels).scatter_reduce(1, labels, places.expand_as(labels), how)
        for places in (cells // width, cells % width)
        for how in ("amin", "amax")
    ]
    return _Boxes(first, *ends, (height, width))


def _filled(boxes: _Boxes) -> Bool[Tensor, "b h w"]:
    """Union of boxes that end before the last row and column.

    Corners are marked and summed along rows and columns: no loop over boxes.
    """
    height, width = boxes.size
    bottom = (boxes.bottom + 1).clamp(max=height - 1)
    right = (boxes.right + 1).clamp(max=width - 1)
    one = (boxes.exists & (bottom > boxes.top) & (right > boxes.left)).long()
    corners = one.new_zeros(len(one), (height + 1) * (width + 1))
    for row, column, sign in (
        (boxes.top, boxes.left, one),
        (bottom, right, one),
        (boxes.top, right, -one),
        (bottom, boxes.left, -one),
    ):
        corners.scatter_add_(1, row * (width + 1) + column, sign)
    return corners.unflatten(1, (height + 1, width + 1)).cumsum(1).cumsum(2)[:, :-1, :-1] > 0
