"""Painting on what a network sees small: a scene is painted on large, and its mask made small."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from fsslib.viz.painter.widget import MaskPainter
from fsslib.viz.sharp import Picture, enlarged, enlarged_labels


def paint_on(picture: Picture, mask: Picture | None = None, **options: Any) -> MaskPainter:
    """A painter of a small picture, enlarged as figures show it, and of its mask.

    Args:
        picture: (3,h,w) or (h,w,3) uint8. mask: (h,w) to begin with. options: of `MaskPainter`.
    """
    start = None if mask is None else enlarged_labels(mask)
    return MaskPainter(enlarged(picture), start, **options)


def marked(mask: UInt8[np.ndarray, "H W"], size: tuple[int, int]) -> Float[Tensor, "1 1 h w"]:
    """How much of each cell of a grid is marked with label 1, from 0 to 1.

    Raises:
        ValueError: nothing is marked, which an explorer says in the figure's place.
    """
    if not (mask == 1).any():
        raise ValueError("Nothing is marked. Draw on the picture.")
    inside = torch.from_numpy(np.ascontiguousarray(mask == 1)).float()
    return interpolate(inside[None, None], size, mode="area")
