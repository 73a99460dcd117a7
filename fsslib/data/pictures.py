"""Reading photographs and label images, and saying plainly what is wrong with a broken one.

Photographs come out as RGB whatever they were (grey, CMYK, palette, 16 bit). An EXIF orientation
is not applied: masks are drawn on the stored pixels and carry no such tag, so that turning the
photograph alone would part the two.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.data.benchmark import BrokenFileError
from fsslib.files import atomic_path

READING_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error),
    Image.DecompressionBombError,
)
"""What Pillow raises on broken files: SyntaxError for a bad PNG chunk, OSError for most others."""


def read_image(path: Path, fix: str) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph at `path` as RGB, its stored pixels in their stored orientation.

    Raises:
        BrokenFileError: missing, cut short or not an image; ends with `fix`, what to do about it.
    """
    picture = _open(path, fix)
    if picture.mode.startswith("I"):  # convert() would clip 16 bits to white
        deep = np.asarray(picture, np.float64)
        picture = Image.fromarray((deep / 257).clip(0, 255).round().astype(np.uint8))
    return np.array(picture.convert("RGB"))


def read_indices(path: Path, fix: str) -> UInt8[np.ndarray, "h w"]:
    """The label image at `path` as class indices; a palette only says how to show them.

    Raises:
        BrokenFileError: missing, broken, or values that are not one index from 0 to 255 a pixel.
    """
    values = np.array(_open(path, fix))
    if values.ndim == 3:  # grey saved as RGB is common; true colours carry no class index
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise BrokenFileError(
                f"{path} is a colour image; expected one class index a pixel (grey or palette). "
                f"Save its indices instead of its colours. {fix}"
            )
        values = colours[..., 0]
    if values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise BrokenFileError(f"{path} holds values up to {values.max()}; expected 0 to 255. {fix}")
    return values.astype(np.uint8)


def check_sizes(image: np.ndarray, label: np.ndarray, image_path: Path, label_path: Path) -> None:
    """BrokenFileError unless photograph (h,w,3) and label (h,w) have the same size."""
    if image.shape[:2] == label.shape:
        return
    (height, width), (rows, columns) = image.shape[:2], label.shape
    turned = " The two look turned against each other." if (width, height) == label.shape else ""
    raise BrokenFileError(
        f"{label_path} is {columns} x {rows} pixels, its image {image_path} {width} x {height}."
        f"{turned} Make the mask on the image's stored pixels (EXIF orientation is not applied)"
    )


def check_values(label: np.ndarray, classes: int, path: Path, fix: str) -> None:
    """BrokenFileError unless every value is 0, a class id up to `classes`, or 255."""
    found = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
    wrong = [int(value) for value in found if classes < value < 255]
    if wrong:
        raise BrokenFileError(f"{path} holds {wrong}; expected 0 to {classes} and 255. {fix}")


def write_label(path: Path, label: UInt8[np.ndarray, "h w"]) -> None:
    """Write class indices as a PNG in VOC's colours, all of it or nothing."""
    picture = Image.fromarray(label)
    picture.putpalette(voc_palette().tobytes())
    with atomic_path(path) as temporary:
        picture.save(temporary)


def voc_palette() -> UInt8[np.ndarray, "256 3"]:
    """VOC's colours: bits 0, 1, 2 of an index go to red, green, blue from the top bit down,
    then bits 3, 4, 5 to the next lower one, and so on (VOC development kit, `VOCcolormap`)."""
    index = np.arange(256)[:, None]
    bits = (index >> np.arange(8)) & 1
    palette = np.zeros((256, 3), int)
    for bit in range(8):
        palette[:, bit % 3] |= bits[:, bit] << (7 - bit // 3)
    return palette.astype(np.uint8)


def _open(path: Path, fix: str) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.copy()
    except FileNotFoundError as error:
        raise BrokenFileError(f"{path} is missing. {fix}") from error
    except READING_ERRORS as error:
        raise BrokenFileError(f"{path} cannot be read as an image ({error}). {fix}") from error
