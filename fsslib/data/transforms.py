"""From a photograph to the square network input, as tests do it.

Geometry works on uint8 or float32 tensors alike; uint8 is rounded once at the end. Bilinear is
`align_corners=False` without antialiasing, which equals OpenCV's linear resize; labels are nearest.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

from fsslib.data.episode import IGNORE

Image = Shaped[Tensor, "3 h w"]
Label = Shaped[Tensor, "h w"]


def resize_image(image: Image, height: int, width: int) -> Image:
    """Bilinear resize; dtype is kept, uint8 is rounded to nearest."""
    resized = F.interpolate(image[None].float(), (height, width), mode="bilinear")[0]
    return _like(resized, image)


def resize_label(label: Label, height: int, width: int) -> Label:
    """Nearest resize: no new label values appear."""
    return F.interpolate(label[None, None].float(), (height, width))[0, 0].to(label.dtype)


def padded_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Content size inside a `size` x `size` canvas: long side to `size`, both floored to 8k."""
    scale = size / max(height, width)
    return _floor8(height * scale), _floor8(width * scale)


def _floor8(length: float) -> int:
    # The 1e-6 keeps an exact multiple of 8 that float arithmetic left a hair below.
    return max(8, int(length + 1e-6) // 8 * 8)


def pad_to_square(image: Image, label: Label, size: int) -> tuple[Image, Label]:
    """PFENet's test resize: keep proportions, put top left on a canvas of 0 (image), 255 (label).

    The image is padded with 0 *before* normalisation, as the official code does.
    """
    height, width = padded_size(*label.shape, size)
    canvas = image.new_zeros(3, size, size)
    canvas[:, :height, :width] = resize_image(image, height, width)
    labels = label.new_full((size, size), IGNORE)
    labels[:height, :width] = resize_label(label, height, width)
    return canvas, labels


def stretch_to_square(image: Image, label: Label, size: int) -> tuple[Image, Label]:
    """HDMNet's and HSNet's test resize: proportions are given up, nothing is padded."""
    return resize_image(image, size, size), resize_label(label, size, size)


def fit_square(
    image: Image, label: Label, size: int, fit: Literal["pad", "stretch"]
) -> tuple[Image, Label]:
    """The protocol's `fit`. A picture that is already `size` x `size` is left untouched."""
    if label.shape == (size, size):
        return image, label
    return (pad_to_square if fit == "pad" else stretch_to_square)(image, label, size)


def _like(values: Tensor, reference: Tensor) -> Tensor:
    if reference.dtype == torch.uint8:
        return values.round().clamp(0, 255).to(torch.uint8)
    return values
