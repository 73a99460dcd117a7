"""Reading photographs and label images, and saying plainly what is wrong with a broken one.

Photographs come out as RGB whatever they were (grey, CMYK, palette, 16 bit). Numbers whose white
nobody can know, fractions above all, are refused: they would come out black. An EXIF orientation is
not applied: masks are drawn on the stored pixels and carry no such tag, so that turning the
photograph alone would part the two. `is_turned` tells which photographs have one.

Pillow would try sixty formats, some of them by starting other programs; here it tries five, on
regular files of up to `MOST_PIXELS` pixels.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from fsslib.data.benchmark import BrokenFileError
from fsslib.files import atomic_path

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MOST_PIXELS = 89_000_000
"""Of a picture; Pillow warns of more, as of a file that was made to fill the memory."""
DARKEST = 16384
"""The least that the brightest pixel of a picture of 16 bits may be: 10, 12 or 14 bits that were
stored as they were stay below, and would come out nearly black."""
ORIENTATION = 0x0112
_DEEP = re.compile(r"(LA|RGB|RGBA|RGBX|CMYK);16")
"""Pillow's names of 16 bits a channel."""


def read_image(path: Path, fix: str) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph at `path` as RGB, its stored pixels in their stored orientation.

    Raises:
        BrokenFileError: missing, cut short, not an image, or neither 8 nor 16 bits deep; ends with
            `fix`, what to do about it.
    """
    picture, deep = open_picture(path, fix)
    return rgb(picture, deep, path, fix)


def rgb(picture: Image.Image, deep: bool, path: Path, fix: str) -> UInt8[np.ndarray, "h w 3"]:
    """What `open_picture` gave, as RGB of 8 bits; raises as `read_image`."""
    if deep and max(high for _, high in picture.convert("RGB").getextrema()) < DARKEST >> 8:
        raise _too_dark(path, "16 bits a channel, all of them nearly black", fix)
    if picture.mode.startswith("I"):  # convert() would clip 16 bits to white
        picture = _eight_bits(np.asarray(picture, np.float64), path, fix)
    return np.array(picture.convert("RGB"))


def is_turned(path: Path) -> bool:
    """Whether a photograph's EXIF tag says that it is to be shown turned or mirrored."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            return opened.getexif().get(ORIENTATION, 1) != 1
    except Exception:  # what is wrong with it, `read_image` says
        return False


def read_indices(path: Path, fix: str) -> UInt8[np.ndarray, "h w"]:
    """The label image at `path` as class indices; a palette only says how to show them.

    Raises:
        BrokenFileError: missing, broken, or values that are not one index from 0 to 255 a pixel.
    """
    return _indices(_open_label(path, fix), path, fix)


def read_mask(path: Path, fix: str) -> UInt8[np.ndarray, "h w"]:
    """The values of a binary mask: `read_indices` where these surely are what the mask shows.

    A program that chooses the palette itself may give index 0 to the object, and an alpha channel
    may hold the whole shape over a single colour. Neither can be told from the values.

    Raises:
        BrokenFileError: a palette that does not start with black, transparent and opaque pixels, or
            what `read_indices` raises.
    """
    picture = _open_label(path, fix)
    if picture.mode == "P" and any(first := (picture.getpalette() or [])[:3]):
        raise BrokenFileError(
            f"{path} has a palette whose colour 0 is {first} (red, green, blue); expected black, "
            f"as 0 is the background. Save the mask as grey, without a palette. {fix}"
        )
    if picture.mode in ("P", "LA", "RGBA"):
        low, high = picture.convert("RGBA").getchannel("A").getextrema()
        if low != high:
            raise BrokenFileError(
                f"{path} has an alpha channel from {low} to {high}; expected none, as alpha is not "
                f"read. Save the mask as grey, with the shape in its values. {fix}"
            )
    return _indices(picture, path, fix)


def _indices(picture: Image.Image, path: Path, fix: str) -> UInt8[np.ndarray, "h w"]:
    values = np.array(picture)
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
    values = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
    wrong = [int(value) for value in values if classes < value < 255]
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


def _eight_bits(deep: Float64[np.ndarray, "h w"], path: Path, fix: str) -> Image.Image:
    """16 bits a pixel as 8; values that are no 16 bits would be cut to black or white."""
    low, high = deep.min(initial=0), deep.max(initial=0)
    if low < 0 or high > 65535 or 0 < high < DARKEST:
        raise _too_dark(path, f"{low:.0f} to {high:.0f} in 16 or 32 bits", fix)
    return Image.fromarray((deep / 257).round().astype(np.uint8))


def _too_dark(path: Path, values: str, fix: str) -> BrokenFileError:
    return BrokenFileError(
        f"{path} holds {values}; expected 0 to 65535, and its brightest pixel from {DARKEST} on "
        f"(10, 12 or 14 bits come out nearly black). Save it with 8 bits a channel. {fix}"
    )


def _open_label(path: Path, fix: str) -> Image.Image:
    picture, deep = open_picture(path, fix)
    if deep:
        raise BrokenFileError(
            f"{path} has 16 bits for each of several channels; expected one index a pixel. Save "
            f"it as grey. {fix}"
        )
    return picture


def open_picture(path: Path, fix: str) -> tuple[Image.Image, bool]:
    """The picture, and whether it had colours of 16 bits, of which Pillow keeps the upper eight.

    Raises:
        BrokenFileError: missing, no regular file, too large, or no picture; ends with `fix`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise BrokenFileError(f"{path} is no regular file. {fix}")
        with Image.open(path, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise BrokenFileError(
                    f"{path} has {width} x {height} pixels; expected at most {MOST_PIXELS:,} of "
                    f"them. Make it smaller. {fix}"
                )
            deep = any(_DEEP.match(str(tile[3])) for tile in opened.tile)
            opened.load()
            picture = opened.copy()
    except FileNotFoundError as error:
        raise BrokenFileError(f"{path} is missing. {fix}") from error
    except BrokenFileError:
        raise
    except Exception as error:  # Pillow's readers raise whatever comes, such as SyntaxError
        reason = (str(error) or type(error).__name__).partition("\n")[0][:200]
        raise BrokenFileError(
            f"{path} cannot be read as an image ({reason}); expected one of {', '.join(FORMATS)}. "
            f"{fix}"
        ) from error
    if picture.mode == "F":
        raise BrokenFileError(
            f"{path} holds fractions (floating point); expected whole numbers. Save it with 8 bits "
            f"a channel, 0 to 255. {fix}"
        )
    return picture, deep
