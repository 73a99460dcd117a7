"""Colour augmentation of MoCo-v2 on batches: every picture its own strengths and its own order.

The operations are those of torchvision's ColorJitter, RandomGrayscale and of Pillow's Gaussian blur
as MoCo-v2 chains them (Chen et al., 2020), on floats in 0..1 instead of rounded bytes. Near the
border the blur's weights are normalised over what is there, where Pillow repeats the last pixel.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

Pictures = Float[Tensor, "n 3 h w"]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
LUMA = (0.2989, 0.587, 0.114)


def jitter(
    pictures: Pictures, factors: Float[Tensor, "n 4"], order: Int[Tensor, "n 4"]
) -> Pictures:
    """Brightness, contrast, saturation and hue, each picture in its own order.

    Args:
        factors: of the four, in this order; 1 (hue: 0) changes nothing.
        order: which of the four comes first, second, …; a row of -1 leaves its picture alone. On
            the CPU, as it decides which pictures are changed.
    """
    pictures = pictures.clone()
    for place in range(4):
        for kind, change in enumerate((_brighten, _contrast, _saturate, _turn_hue)):
            rows = (order[:, place] == kind).nonzero()[:, 0]
            if len(rows):
                rows = rows.to(pictures.device, non_blocking=True)
                strength = factors[rows, kind].view(-1, 1, 1, 1)
                pictures[rows] = change(pictures[rows], strength).clamp_(0, 1)
    return pictures


def grey(pictures: Pictures, chosen: Bool[Tensor, " n"]) -> Pictures:
    """The chosen pictures without colour."""
    return torch.where(chosen.view(-1, 1, 1, 1), _luma(pictures), pictures)


def blur(pictures: Pictures, sigma: Float[Tensor, " n"]) -> Pictures:
    """Gaussian blur with a deviation in pixels (on the CPU) for each picture; 0 leaves it alone.

    Two products with a matrix of weights: the pictures are small, and no kernel is ever cut off.
    """
    rows = (sigma > 0).nonzero()[:, 0]
    if not len(rows):
        return pictures
    strength, rows = (part.to(pictures.device, non_blocking=True) for part in (sigma[rows], rows))
    down, across = (_weights(strength, length) for length in pictures.shape[-2:])
    lines = rearrange(pictures[rows], "n c h w -> n h (c w)")
    columns = rearrange(down @ lines, "n h (c w) -> n (c h) w", c=3)
    pictures = pictures.clone()
    pictures[rows] = rearrange(columns @ across.mT, "n (c h) w -> n c h w", c=3)
    return pictures


def _weights(sigma: Float[Tensor, " n"], length: int) -> Float[Tensor, "n length length"]:
    """Row i holds the weights of all pixels in the new pixel i."""
    place = torch.arange(length, device=sigma.device, dtype=sigma.dtype)
    distance = (place[:, None] - place) / sigma.view(-1, 1, 1)
    # Cut at 1e-13: smaller numbers change nothing, but are denormal and slow.
    return torch.softmax((-0.5 * distance**2).clamp_min(-30), -1)


def _luma(pictures: Pictures) -> Float[Tensor, "n 1 h w"]:
    red, green, blue = pictures.split(1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _brighten(pictures: Pictures, factor: Tensor) -> Pictures:
    return pictures * factor


def _contrast(pictures: Pictures, factor: Tensor) -> Pictures:
    mean = _luma(pictures).mean((-2, -1), keepdim=True)
    return mean + factor * (pictures - mean)


def _saturate(pictures: Pictures, factor: Tensor) -> Pictures:
    luma = _luma(pictures)
    return luma + factor * (pictures - luma)


def _turn_hue(pictures: Pictures, turn: Tensor) -> Pictures:
    """Hue shifted by `turn` full circles, saturation and value of HSV kept."""
    red, green, blue = pictures.split(1, 1)
    value = pictures.amax(1, keepdim=True)
    chroma = value - pictures.amin(1, keepdim=True)
    safe = chroma.clamp_min(1e-12)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    offsets = torch.tensor([5.0, 3.0, 1.0], device=pictures.device).view(3, 1, 1)
    place = (offsets + sixth + 6 * turn) % 6
    return value - chroma * torch.minimum(place, 4 - place).clamp(0, 1)
