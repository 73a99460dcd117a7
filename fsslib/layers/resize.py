"""How feature maps are brought to another grid, and masks down to theirs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fsslib.fp32 import in_fp32


def resize(maps: Float[Tensor, "b c h w"], size: Sequence[int]) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear interpolation with aligned corners. Maps of no channels stay without any.

    Args:
        size: rows and columns of the new grid.
    """
    if not maps.shape[1]:
        return maps.new_zeros(len(maps), 0, *size)
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)


@in_fp32
def spread(
    masks: Shaped[Tensor, "*batch rows columns"], size: Sequence[int]
) -> Float[Tensor, "*batch h w"]:
    """How much of each mask every cell answers for once its feature map is enlarged to the mask's
    size (bilinear, corners not aligned).

    Enlarging is linear, R F C', and so is a sum under a mask M: it equals the sum of F under
    R' M C, which is this function, the transpose of enlarging. Nothing has to be enlarged for it,
    and the sum over all cells stays the mask's area.

    Args:
        masks: weights of pixels, bool or numbers.
        size: rows and columns of the features.

    Returns:
        fp32, under autocast too: counts of pixels are large.
    """
    rows, columns = (
        _enlarging(cells, pixels, masks.device)
        for cells, pixels in zip(size, masks.shape[-2:], strict=True)
    )
    return rows @ masks.float() @ columns.mT


def _enlarging(cells: int, pixels: int, device: torch.device) -> Float[Tensor, "cells pixels"]:
    """Row i: the weight of cell i in each pixel of a line that was enlarged."""
    line = torch.eye(cells, device=device)[None]
    return F.interpolate(line, pixels, mode="linear", align_corners=False)[0]
