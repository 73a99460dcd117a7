"""Masks as people have them: painted, boxed, outlined, cut out; 0, 1 and 255 come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps

from fsslib.data.benchmark import IGNORE
from fsslib.data.pictures import open_picture
from fsslib.own_pictures.pictures import FIX, Picture, file_path

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright."""


def as_mask(value: Any, picture: Picture, name: str) -> UInt8[np.ndarray, "h w"]:
    """A picture's mask: 1 the object, 0 the rest, 255 where nobody knows.

    Args:
        value: a path, a PIL picture or an array (h,w) of 0 and 1, 0 and 255, or 0, 1 and 255; a
            picture with an alpha channel or a palette; a box (left, top, right, bottom); a polygon
            [(x, y), …] or several of them. Pixels are counted from the upper left corner.

    Raises:
        ValueError: another size than the picture's, values that are none of these, or no object.
    """
    if hasattr(value, "detach"):  # a tensor, for whose type alone torch would be imported
        value = value.detach().cpu().numpy()
    if isinstance(value, str | Path):
        value = open_picture(file_path(value), FIX)[0]
    if isinstance(value, Image.Image):
        mask = _fitted(_of_pil(ImageOps.exif_transpose(value), name), picture)
    elif isinstance(value, np.ndarray) and not _is_outline(value, picture):
        mask = _fitted(_of_array(value, name), picture)
    else:
        mask = _drawn(value, picture, name)
    if mask.shape != picture.size:
        (height, width), (rows, columns) = picture.size, mask.shape
        raise ValueError(
            f"{name}: the mask is {columns} x {rows} pixels, its picture {width} x {height}; "
            "paint it on that very picture"
        )
    if not (mask == 1).any():
        raise ValueError(f"{name}: the mask shows no object; mark at least one pixel of it")
    return mask


def _is_outline(array: np.ndarray, picture: Picture) -> bool:
    """Whether an array is a box or a polygon; one of the picture's size is its mask."""
    points = array.ndim == 2 and array.shape[1] == 2 and array.shape != picture.size
    return points or array.shape == (4,)


def _fitted(mask: UInt8[np.ndarray, "h w"], picture: Picture) -> UInt8[np.ndarray, "h w"]:
    """A mask that was painted on the stored pixels of a turned photograph, turned with it."""
    if mask.shape != picture.size and mask.shape == picture.size[::-1] and picture.orientation > 4:
        return np.array(Image.fromarray(mask).transpose(TURNS[picture.orientation]))
    return mask


def _of_pil(picture: Image.Image, name: str) -> UInt8[np.ndarray, "h w"]:
    """By alpha where it says something; a palette by its indices, unless colour 0 is not black."""
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        alpha = np.array(picture.convert("RGBA").getchannel("A"))
        if alpha.min() != alpha.max():
            return (alpha >= 128).astype(np.uint8)
        picture = picture.convert("RGB" if picture.mode == "RGBA" else "L")
    if picture.mode == "P" and any((picture.getpalette() or [])[:3]):
        picture = picture.convert("RGB")
    return _of_array(np.array(picture), name)


def _of_array(array: np.ndarray, name: str) -> UInt8[np.ndarray, "h w"]:
    if array.ndim == 3:
        if array.shape[2] not in (1, 3, 4):
            raise ValueError(f"{name}: a mask of shape {array.shape}; expected (h,w)")
        array = array[..., : min(3, array.shape[2])]
        array = np.where((array != array[..., :1]).any(2), array.max(2), array[..., 0])
    if array.ndim != 2:
        raise ValueError(f"{name}: a mask of shape {array.shape}; expected (h,w)")
    values = np.unique(array)
    if array.dtype.kind == "b" or (set(values.tolist()) <= {0, 1, IGNORE} and 1 in values):
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and values[0] >= 0 and values[-1] <= 1:
        return (array >= 0.5).astype(np.uint8)
    if values[0] >= 0 and values[-1] == 255 and _of_two_kinds(array):
        return (array >= 128).astype(np.uint8)
    if len(values) == 1 and values[0] == 0:
        return np.zeros(array.shape, np.uint8)
    shown = f"{[value.item() for value in values[:8]]}{' …' if len(values) > 8 else ''}"
    raise ValueError(
        f"{name}: the mask holds {shown}; expected 0 and 1, 0 and 255, or 0, 1 and 255. Of several "
        "classes choose one, as in mask == 3"
    )


def _of_two_kinds(array: np.ndarray) -> bool:
    """Whether a mask is black and white but for its soft edges, as JPEG or a brush leaves them."""
    soft = (array > 32) & (array < 223)
    return soft.mean() < 0.1


def _drawn(value: Any, picture: Picture, name: str) -> UInt8[np.ndarray, "h w"]:
    """A box or polygons as a mask."""
    from skimage.draw import polygon2mask

    outlines = _outlines(value, name)
    inside: Bool[np.ndarray, "h w"] = np.zeros(picture.size, bool)
    for outline in outlines:
        inside |= polygon2mask(picture.size, outline[:, ::-1] - 0.5)
    return inside.astype(np.uint8)


def _outlines(value: Any, name: str) -> list[np.ndarray]:
    """Polygons (n,2) of x and y; a box is one of four points."""
    expected = (
        f"{name}: expected a mask (h,w), a path, a box (left, top, right, bottom) or a polygon "
        f"[(x, y), …] of three points or more; got {str(value)[:80]}"
    )
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):  # polygons of different lengths
        if isinstance(value, list | tuple):
            return [outline for each in value for outline in _outlines(each, name)]
        raise ValueError(expected) from None
    if not np.isfinite(array).all():
        raise ValueError(expected)
    if array.shape == (4,):
        left, top, right, bottom = array
        if right <= left or bottom <= top:
            raise ValueError(
                f"{name}: the box {value} is empty; expected left < right, top < bottom"
            )
        return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)])]
    if array.ndim == 3 and array.shape[1] >= 3 and array.shape[2] == 2:
        return list(array)
    if array.ndim == 2 and array.shape[0] >= 3 and array.shape[1] == 2:
        return [array]
    raise ValueError(expected)
