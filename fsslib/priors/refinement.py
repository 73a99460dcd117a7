"""PIR: a rough prior spread along the attention of a Vision Transformer (PI-CLIP, Eqs. 9-12).

Attention says which cells belong together. Averaged over the last blocks and made nearly doubly
stochastic, it becomes a matrix that carries the prior from cell to cell, inside the boxes around
what the prior is sure of. Where PI-CLIP's paper and code differ: the code squares R once more (a
relic of CLIP-ES), and masks the columns of R where Eq. 12 prints a mask on its result.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from scipy import ndimage
from torch import Tensor

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


def sinkhorn(affinity: Affinity, rounds: int = 1) -> Affinity:
    """Divide columns by their sums, then rows by theirs, `rounds` times (CLIP-ES: 3)."""
    for _ in range(rounds):
        affinity = affinity / affinity.sum(1, keepdim=True)
        affinity = affinity / affinity.sum(2, keepdim=True)
    return affinity


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
    levels = (255 * prior.float()).to(torch.uint8).cpu().numpy()
    limits = (threshold * levels.max((1, 2))).astype(np.int64)
    # One labelling for the whole batch: neighbours in rows and columns, none across images.
    inside = np.zeros((3, 3, 3), bool)
    inside[1] = True
    labels, count = ndimage.label(levels > limits[:, None, None], inside)
    image, row, column = np.nonzero(labels)
    piece = labels[image, row, column] - 1
    boxes = _bounds(piece, count, image, row, column)
    return torch.from_numpy(_filled(boxes, levels.shape)).to(prior.device)


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
            "result" (Eq. 12 as printed).
    """
    flat = prior.flatten(1)
    mask = torch.ones_like(flat) if boxes is None else boxes.flatten(1).to(flat.dtype)
    if box_on == "columns":
        spread = torch.einsum("bij,bj->bi", matrix, mask * flat)
    else:
        spread = mask * torch.einsum("bij,bj->bi", matrix, flat)
    return spread.view_as(prior)


def _bounds(
    piece: np.ndarray, count: int, image: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """(pieces, 5): image, first and last row, first and last column."""
    boxes = np.zeros((count, 5), np.int64)
    boxes[piece, 0] = image
    for place, values in ((1, row), (3, column)):
        boxes[:, place] = np.iinfo(np.int64).max
        np.minimum.at(boxes[:, place], piece, values)
        np.maximum.at(boxes[:, place + 1], piece, values)
    return boxes


def _filled(boxes: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Union of boxes whose ends are exclusive and at most the last row and column.

    Corners are marked and summed along rows and columns: no loop over boxes.
    """
    count, height, width = shape
    image, top, bottom, left, right = boxes.T
    bottom, right = np.minimum(bottom + 1, height - 1), np.minimum(right + 1, width - 1)
    real = (bottom > top) & (right > left)
    image, top, bottom, left, right = (v[real] for v in (image, top, bottom, left, right))
    corners = np.zeros((count, height + 1, width + 1), np.int64)
    for rows, columns, sign in (
        (top, left, 1),
        (bottom, right, 1),
        (top, right, -1),
        (bottom, left, -1),
    ):
        np.add.at(corners, (image, rows, columns), sign)
    covered = corners.cumsum(1).cumsum(2)[:, :height, :width] > 0
    return covered.astype(np.uint8)
