"""Taking off what a photograph was padded with to become a square."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fsslib.data.episode import IGNORE
from fsslib.viz.sharp import to_array


def unpadded(image: Tensor, mask: Tensor, *others: Any) -> tuple[Any, ...]:
    """Image (3,h,w), its mask (h,w) and further maps (h,w), all cut to the photograph.

    Padding lies below and to the right: there the image is 0 and its mask 255 (`pad_to_square`).
    """
    own = (to_array(image) != 0).any(-1) | (to_array(mask) != IGNORE)
    if not own.any():
        return (image, mask, *others)
    height, width = (int(own.any(axis).nonzero()[0][-1]) + 1 for axis in (1, 0))
    return tuple(part[..., :height, :width] for part in (image, mask, *others))
