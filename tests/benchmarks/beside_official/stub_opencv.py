"""Of OpenCV what PI-CLIP's maps and boxes and ASGNet's masks need, by NumPy, Pillow and
scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from skimage.measure import label, regionprops


def _resize(image: np.ndarray, dsize: tuple[int, int], interpolation: int = 1) -> np.ndarray:
    """Nearest (0) takes the cell at the floor of its place; linear (1) aligns pixels' areas."""
    if interpolation == 0:
        rows = np.arange(dsize[1]) * image.shape[0] // dsize[1]
        columns = np.arange(dsize[0]) * image.shape[1] // dsize[0]
        return image[rows][:, columns]
    picture = Image.fromarray(np.asarray(image, np.float32))
    # Pillow averages where it shrinks; these maps only grow.
    return np.asarray(picture.resize(dsize, Image.Resampling.BILINEAR))


def _threshold(src: np.ndarray, thresh: int, maxval: int, type: int) -> tuple[int, np.ndarray]:
    return thresh, np.where(src > thresh, maxval, 0).astype(np.uint8)


def _contours(image: np.ndarray, mode: int, method: int) -> tuple[list[Any], None]:
    """Pieces in the place of their contours; holes, whose boxes lie inside, are left out."""
    return regionprops(label(image[..., 0] > 0, connectivity=2)), None


def _box(piece: Any) -> tuple[int, int, int, int]:
    top, left, bottom, right = piece.bbox
    return left, top, right - left, bottom - top


def _read(path: str, _: int) -> np.ndarray:
    return np.asarray(Image.open(path))


CONTENTS = {
    "__version__": "4.0",
    **dict.fromkeys(("INTER_NEAREST", "THRESH_BINARY", "RETR_TREE", "IMREAD_GRAYSCALE"), 0),
    "INTER_LINEAR": 1,
    "resize": _resize,
    "threshold": _threshold,
    "findContours": _contours,
    "boundingRect": _box,
    "imread": _read,
}
