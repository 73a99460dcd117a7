"""From a photograph to the square network input, and the augmentation of PFENet's line.

Geometry works on uint8 or float32 tensors alike; uint8 is rounded once at the end. Bilinear is
`align_corners=False` without antialiasing, which equals OpenCV's linear resize; labels are nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from jaxtyping import Shaped
from torch import Tensor

from fsslib.data.episode import IGNORE

MEAN_COLOUR = (124, 116, 104)  # ImageNet mean in 0..255: padding of the training augmentation

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


@dataclass(frozen=True)
class Augmentation:
    """Training augmentation, drawn independently for the query and each support.

    Scale, rotation, 5x5 Gaussian blur, horizontal flip, then a random crop that is tried up to
    31 times until 85 % of the foreground survives (`last="crop"`), or a plain resize
    (`last="resize"`: HDMNet, PI-CLIP). Numbers of the PASCAL recipe; COCO scales 0.8 to 1.25.

    The papers crop at about the photographs' own size. A photograph more than 1.5 times larger
    than the crop, which they never meet, is first brought to 1.1 times: a small window of it
    would often show nothing of the object.
    """

    scale: tuple[float, float] = (0.9, 1.1)
    degrees: float = 10.0
    rotate_probability: float = 0.5
    blur_probability: float = 0.5
    flip_probability: float = 0.5
    last: Literal["crop", "resize"] = "crop"
    kept_foreground: float = 0.85
    crop_tries: int = 31

    def __call__(
        self, image: Image, label: Label, size: int, rng: np.random.Generator
    ) -> tuple[Image, Label]:
        """Image (3,h,w) uint8 and label (h,w), classes from 1 on, to (3,size,size), (size,size)."""
        factor = rng.uniform(*self.scale)
        longer = max(label.shape)
        if longer > 1.5 * size:
            factor *= 1.1 * size / longer
        height, width = (max(8, round(side * factor)) for side in label.shape)
        image, label = resize_image(image, height, width), resize_label(label, height, width)
        if rng.random() < self.rotate_probability:
            image, label = _rotate(image, label, rng.uniform(-self.degrees, self.degrees))
        if rng.random() < self.blur_probability:
            image = TF.gaussian_blur(image, [5, 5])
        if rng.random() < self.flip_probability:
            image, label = image.flip(-1), label.flip(-1)
        if self.last == "resize":
            return stretch_to_square(image, label, size)
        return self._crop(image, label, size, rng)

    def _crop(
        self, image: Image, label: Label, size: int, rng: np.random.Generator
    ) -> tuple[Image, Label]:
        image, label = _pad(image, label, size)
        thing = (label > 0) & (label != IGNORE)
        foreground = int(thing.sum())
        for _ in range(self.crop_tries):
            top, left = (int(rng.integers(side - size + 1)) for side in label.shape)
            window = slice(top, top + size), slice(left, left + size)
            if int(thing[window].sum()) >= self.kept_foreground * foreground:
                break
        return image[:, *window], label[window]


def _rotate(image: Image, label: Label, degrees: float) -> tuple[Image, Label]:
    bilinear, nearest = TF.InterpolationMode.BILINEAR, TF.InterpolationMode.NEAREST
    image = TF.rotate(image, degrees, bilinear, fill=list(MEAN_COLOUR))
    return image, TF.rotate(label[None], degrees, nearest, fill=[IGNORE])[0]


def _pad(image: Image, label: Label, size: int) -> tuple[Image, Label]:
    """Grow to at least `size` on both sides, content centred, mean colour and 255 around it."""
    height, width = label.shape
    down, right = max(0, size - height), max(0, size - width)
    sides = [right // 2, down // 2, right - right // 2, down - down // 2]
    return TF.pad(image, sides, fill=list(MEAN_COLOUR)), TF.pad(label[None], sides, IGNORE)[0]


def _like(values: Tensor, reference: Tensor) -> Tensor:
    if reference.dtype == torch.uint8:
        return values.round().clamp(0, 255).to(torch.uint8)
    return values
