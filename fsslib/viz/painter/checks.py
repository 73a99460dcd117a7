"""What a painter is given, checked, and what it hands on as files."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.data.episode import IGNORE
from fsslib.viz.sharp import to_array

LARGEST_SIDE = 2048
"""Of the picture that the browser is sent; the mask has all pixels."""
JPEG_FROM = 512 * 512
"""Pixels from which on it is sent as JPEG."""


def as_pixels(picture: Any) -> UInt8[np.ndarray, "h w 3"]:
    """(h,w,3) of a tensor, an array or a PIL picture; ValueError for anything else."""
    if isinstance(picture, Image.Image):
        picture = np.asarray(picture.convert("RGB"))
    pixels = to_array(picture)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(
            f"picture is {pixels.dtype} {pixels.shape}; expected uint8 (h,w,3), (3,h,w) or (h,w)"
        )
    return np.ascontiguousarray(pixels)


def as_labels(mask: Any, size: tuple[int, int], count: int) -> UInt8[np.ndarray, "h w"]:
    """A mask as a copy that cannot be written into; ValueError where size or values are wrong."""
    array = to_array(mask)
    if array.shape != size:
        raise ValueError(
            f"mask {array.shape} and picture {size} differ in size; give one value a pixel"
        )
    if array.dtype.kind not in "biu":
        raise ValueError(f"mask is {array.dtype}; expected whole numbers or bool: use mask > 0.5")
    values = np.unique(array).tolist()
    if not {int(value) for value in values} <= {*range(count + 1), IGNORE}:
        raise ValueError(
            f"mask holds {values[:8]}; expected 0, labels up to {count} and {IGNORE}; where 255 is "
            "the object use mask > 0"
        )
    copy = array.astype(np.uint8)
    copy.setflags(write=False)
    return copy


def as_file(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """A file that the browser can show, not larger than is of use."""
    picture, content = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    if picture.width * picture.height < JPEG_FROM:
        picture.save(content, "PNG")
    else:
        picture.save(content, "JPEG", quality=92)
    return content.getvalue()


def as_base64(picture: Image.Image) -> str:
    """As notebooks hold it, in base64."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode("ascii")
