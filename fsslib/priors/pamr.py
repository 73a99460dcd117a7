"""PAMR: pixel-adaptive mask refinement (Araslanov and Roth, CVPR 2020).

Maps are averaged again and again over neighbours that look alike. Neighbours lie at every dilation
d in eight directions, the picture continued by its own border; the pixel itself is none of them.

    affinity = softmax over neighbours of mean over channels of -|x - x_nb| / (1e-8 + 0.1 std)

with the standard deviation of each channel over all neighbours and the pixel (once a dilation).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fsslib.fp32 import in_fp32

DIRECTIONS = tuple(product((-1, 0, 1), repeat=2))
"""The pixel itself, (0, 0), among them."""
SPREAD, NOTHING = 0.1, 1e-8


@in_fp32
def pamr(
    image: Shaped[Tensor, "b 3 h w"],
    maps: Float[Tensor, "b c rows columns"],
    steps: int = 10,
    dilations: Sequence[int] = (8, 16),
) -> Float[Tensor, "b c h w"]:
    """Maps at the image's size (bilinear, corners aligned), refined.

    Args:
        image: any scale of colours, each channel is measured by its own spread.
        steps: how often maps are averaged; 0: not at all.
        dilations: distances of neighbours in pixels (NACLIP: 8 and 16).

    Raises:
        ValueError: no dilation, or one below 1.
    """
    if not dilations or min(dilations) < 1:
        raise ValueError(f"dilations={tuple(dilations)}: expected distances of 1 pixel or more")
    size = tuple(image.shape[-2:])
    if tuple(maps.shape[-2:]) != size:
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=True)
    if steps == 0:
        return maps
    affinity = _affinity(image.float(), dilations)
    for _ in range(steps):
        maps = sum(
            weight * neighbour
            for weight, neighbour in zip(
                affinity.unbind(2), _neighbours(maps, dilations), strict=True
            )
        )
    return maps


def _affinity(
    image: Float[Tensor, "b 3 h w"], dilations: Sequence[int]
) -> Float[Tensor, "b 1 p h w"]:
    around = torch.stack(list(_neighbours(image, dilations)), 2)  # (b, 3, p, h, w)
    centres = image[:, :, None].expand(-1, -1, len(dilations), -1, -1)
    spread = torch.cat([around, centres], 2).std(2, keepdim=True)
    distance = (image[:, :, None] - around).abs() / (NOTHING + SPREAD * spread)
    return (-distance).mean(1, keepdim=True).softmax(2)


def _neighbours(maps: Float[Tensor, "b c h w"], dilations: Sequence[int]):
    """One map after the other, each moved by a neighbour's place."""
    height, width = maps.shape[-2:]
    for distance in dilations:
        padded = F.pad(maps, [distance] * 4, mode="replicate")
        for down, right in DIRECTIONS:
            if (down, right) != (0, 0):
                top, left = distance * (1 + down), distance * (1 + right)
                yield padded[..., top : top + height, left : left + width]
