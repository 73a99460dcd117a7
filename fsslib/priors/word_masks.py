"""From scores of class names to the mask of one of them (LFSS Sec. 3.3).

Each cell goes to the name that fits best, as MaskCLIP does it. Names of what is no object may take
part and are then background; the paper has none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

FALLBACK_CELLS = 12
"""Of a mask that would be empty: as many as SSP takes where it is sure of none."""


class WordMask(NamedTuple):
    """Attributes:
    mask: 0 or 1.
    empty: the name won nowhere, and the mask holds the cells where it came closest.
    """

    mask: Float[Tensor, "b h w"]
    empty: Bool[Tensor, " b"]


def word_mask(
    scores: Float[Tensor, "b names h w"],
    target: Int64[Tensor, " b"],
    size: tuple[int, int] | None = None,
) -> WordMask:
    """Where `target` wins over all other names.

    Args:
        scores: cosines, background names among them.
        target: index of each picture's name.
        size: scores are brought to this grid first (bilinear, corners not aligned).
    """
    if size is not None and scores.shape[-2:] != size:
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    won = scores.argmax(1) == target[:, None, None]
    own = scores.flatten(2).take_along_dim(target[:, None, None], 1)[:, 0]  # (b, cells)
    closest = own.topk(min(FALLBACK_CELLS, own.shape[1])).indices
    fallback = torch.zeros_like(own, dtype=torch.bool).scatter(1, closest, True)
    empty = ~won.flatten(1).any(1)
    mask = torch.where(empty[:, None], fallback, won.flatten(1)).view_as(won)
    return WordMask(mask.float(), empty)
