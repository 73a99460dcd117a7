"""The one way in which the papers bring feature maps to another grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def resize(maps: Float[Tensor, "b c h w"], size: Sequence[int]) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear interpolation with aligned corners. Maps of no channels stay without any.

    Args:
        size: rows and columns of the new grid.
    """
    if not maps.shape[1]:
        return maps.new_zeros(len(maps), 0, *size)
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
