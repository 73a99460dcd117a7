"""PFENet's augmentation as released, one resampling after another: what ours is compared with."""

from __future__ import annotations

import numpy as np
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from fsslib.data.augmentation import Augmentation
from fsslib.data.rendering import MEAN_COLOUR
from fsslib.data.transforms import resize_image, resize_label, stretch_to_square


def in_steps(
    augmentation: Augmentation, image: Tensor, label: Tensor, size: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The released order: resize, rotate, blur, flip, then pad and crop, or resize again."""
    rng = np.random.default_rng(seed)
    factor = rng.uniform(*augmentation.scale)
    if max(label.shape) > 1.5 * size:
        factor *= 1.1 * size / max(label.shape)
    height, width = (round(side * factor) for side in label.shape)
    image, label = resize_image(image, height, width), resize_label(label, height, width)
    if rng.random() < augmentation.rotate_probability:
        angle = rng.uniform(-augmentation.degrees, augmentation.degrees)
        bilinear = TF.InterpolationMode.BILINEAR
        image = TF.rotate(image, angle, bilinear, fill=list(MEAN_COLOUR))
        label = TF.rotate(label[None], angle, fill=[255])[0]
    if rng.random() < augmentation.blur_probability:
        image = TF.gaussian_blur(image, [5, 5])
    if rng.random() < augmentation.flip_probability:
        image, label = image.flip(-1), label.flip(-1)
    if augmentation.last == "resize":
        return stretch_to_square(image, label, size)
    down, right = max(0, size - height), max(0, size - width)
    sides = [right // 2, down // 2, right - right // 2, down - down // 2]
    image, label = TF.pad(image, sides, fill=list(MEAN_COLOUR)), TF.pad(label[None], sides, 255)[0]
    for _ in range(augmentation.crop_tries):
        top, left = (int(rng.integers(side - size + 1)) for side in label.shape)
        window = slice(top, top + size), slice(left, left + size)
        if (label[window] == 1).sum() >= augmentation.kept_foreground * (label == 1).sum():
            break
    return image[:, *window], label[window]
