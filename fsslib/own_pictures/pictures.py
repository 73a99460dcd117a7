"""Pictures as people have them: paths, PIL pictures, arrays of any kind; upright RGB comes out.

Unlike a benchmark's photographs (`fsslib.data.pictures`), whose masks were drawn on stored pixels,
one's own are taken as every viewer shows them: an EXIF orientation is applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.binary_masks import SUFFIXES, visible
from fsslib.data.pictures import MOST_PIXELS, ORIENTATION, open_picture, rgb
from fsslib.files import local_path

FIX = "Give another picture, or save it anew as PNG or JPEG."


@dataclass(frozen=True)
class Picture:
    """A picture as a viewer shows it.

    Attributes:
        orientation: EXIF's number from 1 to 8; the pixels are upright already.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    name: str
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[:2]


def as_picture(value: Any, name: str) -> Picture:
    """A picture from a path, a `file:` URL, a PIL picture, an array or a tensor.

    Args:
        value: arrays are (h,w), (h,w,1), (h,w,3) or (h,w,4), tensors also (3,h,w); whole numbers of
            8 or 16 bits, or fractions from 0 to 1.
        name: how messages call it, "query" or "support 1"; files are called by theirs.

    Raises:
        BrokenFileError: a file that is missing, no picture or too large. TypeError: something else
            altogether. ValueError: an array of another shape or other numbers.
    """
    if isinstance(value, Picture):
        return value
    if isinstance(value, str | Path):
        path = file_path(value)
        picture, deep = open_picture(path, FIX)
        return _upright(picture, path.name, lambda p: rgb(p, deep, path, FIX))
    if isinstance(value, Image.Image):
        return _upright(value, name, lambda p: _of_pil(p, name))
    if hasattr(value, "detach"):  # a tensor, for whose type alone torch would be imported
        value = value.detach().cpu().numpy()
        if value.ndim == 3 and value.shape[0] in (1, 3) and value.shape[2] not in (1, 3, 4):
            value = value.transpose(1, 2, 0)
    if isinstance(value, np.ndarray):
        return Picture(_of_array(value, name), name)
    raise TypeError(
        f"{name} is a {type(value).__name__}; expected a path, a PIL picture or an array (h,w,3)"
    )


def file_path(value: str | Path) -> Path:
    """The local file that a path or a `file:` URL names.

    Raises:
        ValueError: a URL of another machine.
    """
    url = urlparse(str(value))
    if url.scheme == "file":
        return local_path(unquote(url.path))
    if url.scheme and url.netloc:
        raise ValueError(f"{value} is on another machine; download it, and give the file's path")
    return local_path(value)


def picture_files(paths: Iterable[str | Path]) -> list[Path]:
    """Files as they are, folders as the pictures in them.

    Raises:
        BrokenFileError: a folder without pictures.
    """
    files: list[Path] = []
    for path in map(file_path, paths):
        inside = [p for p in visible(path) if p.suffix.lower() in SUFFIXES] if path.is_dir() else []
        if path.is_dir() and not inside:
            endings = ", ".join(SUFFIXES)
            raise BrokenFileError(f"{path} holds no pictures; expected files that end in {endings}")
        files += inside or [path]
    return files


def _upright(picture: Image.Image, name: str, convert: Any) -> Picture:
    orientation = picture.getexif().get(ORIENTATION, 1)
    if orientation in range(2, 9):
        return Picture(convert(ImageOps.exif_transpose(picture)), name, orientation)
    return Picture(convert(picture), name)


def _of_pil(picture: Image.Image, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if picture.mode.startswith(("I", "F")):
        return _of_array(np.asarray(picture), name)
    _require_size(picture.height, picture.width, name)
    return np.array(picture.convert("RGB"))


def _of_array(array: np.ndarray, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Grey becomes RGB, alpha goes, and numbers become 8 bits."""
    plain = array[..., None] if array.ndim == 2 else array
    if plain.ndim != 3 or plain.shape[2] not in (1, 3, 4) or not plain.size:
        raise ValueError(f"{name} has shape {array.shape}; expected (h,w), (h,w,3) or (h,w,4)")
    _require_size(*plain.shape[:2], name)
    colours = np.repeat(plain, 3, axis=2) if plain.shape[2] == 1 else plain[..., :3]
    return np.ascontiguousarray(_eight_bits(colours, name))


def _eight_bits(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    low, high = values.min(), values.max()
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and low >= 0 and high <= 1):
        return (255 * values.astype(np.float64)).round().astype(np.uint8)
    if values.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if values.dtype == np.uint16 and high >= 16384:
        return (values.astype(np.float64) / 257).round().astype(np.uint8)
    raise ValueError(
        f"{name} holds {values.dtype} from {low:g} to {high:g}; expected 0 to 255, 0 to 65535 in "
        "uint16, or fractions from 0 to 1"
    )


def _require_size(height: int, width: int, name: str) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"{name} has {height} x {width} pixels; expected up to {MOST_PIXELS:,} in all. Give a "
            "smaller one, or a part of it"
        )
