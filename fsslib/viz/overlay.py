"""A mask over a picture: colours that the colour-blind can tell apart, ignored pixels in white."""

from __future__ import annotations

import numpy as np
from skimage.segmentation import find_boundaries
from torch import Tensor

from fsslib.data.episode import IGNORE

# Okabe and Ito's palette, reordered so that the first colours differ most on natural pictures.
COLOURS = np.array(
    [
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (204, 121, 167),
        (240, 228, 66),
        (86, 180, 233),
        (230, 159, 0),
    ],
    np.uint8,
)


def palette(count: int) -> np.ndarray:
    """`count` RGB colours (count,3) uint8; they repeat after seven."""
    return COLOURS[np.arange(count) % len(COLOURS)]


def to_array(picture: Tensor | np.ndarray) -> np.ndarray:
    """A (3,h,w) or (h,w,3) picture as (h,w,3), a (h,w) map as it is; always NumPy on the CPU."""
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[-1] != 3:
        array = array.transpose(1, 2, 0)
    return array


def overlay(
    image: Tensor | np.ndarray, mask: Tensor | np.ndarray, alpha: float = 0.5
) -> np.ndarray:
    """The picture with each label 1..N tinted and outlined, and 255 in white.

    Args:
        image: (3,h,w) or (h,w,3) uint8. mask: (h,w), 0 background, 255 ignore.

    Returns:
        (h,w,3) uint8.
    """
    picture, labels = to_array(image).astype(np.float32), to_array(mask)
    if picture.shape[:2] != labels.shape:
        raise ValueError(f"image {picture.shape[:2]} and mask {labels.shape} differ in size")
    for label in np.unique(labels):
        inside = labels == label
        if label == IGNORE:
            picture[inside] = 255
        elif label:
            colour = palette(int(label))[-1].astype(np.float32)
            picture[inside] = (1 - alpha) * picture[inside] + alpha * colour
            picture[find_boundaries(inside, mode="inner")] = colour
    return picture.round().astype(np.uint8)
