"""What an entry of COCO's `instances_*.json` must look like, before compiled code sees it.

pycocotools believes whatever it is told: a polygon with a corner at 1e9 ends the process, fractions
and run lengths that do not fit the picture come out as a mask of something. Types and ids are
checked when the file is read, outlines when they are drawn, so that the latter goes in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from fsslib.data.pictures import MOST_PIXELS

LONGEST_OUTLINE = 1000
"""Times the picture's half perimeter: what a pencil may draw before it is no outline."""
ROOM = 1.0
"""Corners may lie outside of the picture by this share of its sides: COCO's do, by a pixel."""


def _whole(least: int, most: int = 2**63 - 1) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most


def _file_name(value: Any) -> bool:
    """A name below the folder of pictures, and nowhere else."""
    if not isinstance(value, str) or not value or "\0" in value or len(value) > 200:
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and ".." not in path.parts and bool(path.stem)


IMAGE: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_whole(0), "a whole number"),
    "file_name": (_file_name, "the name of a file in the folder of pictures"),
    "height": (_whole(1, MOST_PIXELS), "a whole number of pixels"),
    "width": (_whole(1, MOST_PIXELS), "a whole number of pixels"),
}
ANNOTATION: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_whole(0), "a whole number"),
    "image_id": (_whole(0), "a whole number"),
    "category_id": (_whole(0), "a whole number"),
    "iscrowd": (lambda v: v in (0, 1) and isinstance(v, int), "0 or 1"),
    "segmentation": (lambda v: isinstance(v, list | dict), "polygons or run lengths"),
}
CATEGORY: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_whole(0), "a whole number"),
    "name": (lambda v: isinstance(v, str), "a name"),
}
USUAL = {"iscrowd": 0}
"""Of fields that may be missing."""


def require_entries(
    kind: str, entries: Any, schema: Mapping[str, tuple[Callable[[Any], bool], str]]
) -> list[dict[str, Any]]:
    """The entries; ValueError for the first one that is none, and for an id that comes twice."""
    if not isinstance(entries, list):
        raise ValueError(f"its {kind}s are a {type(entries).__name__}, expected a list")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{kind} number {number} is a {type(entry).__name__}")
        for name, (fits, expected) in schema.items():
            value = entry.get(name, USUAL.get(name))
            if not fits(value):
                raise ValueError(
                    f"{kind} number {number}: {name} is {str(value)[:40]!r}, expected {expected}"
                )
    ids = [entry["id"] for entry in entries]
    if len(set(ids)) < len(ids):
        twice = next(i for n, i in enumerate(ids) if i in ids[:n])
        raise ValueError(f"two {kind}s have the id {twice}")
    return entries


def polygons(segmentation: list, height: int, width: int) -> list[list[float]]:
    """Those that enclose something: pycocotools reads lists of four numbers as boxes, and two
    points enclose nothing anyway.

    Raises:
        ValueError: corners that are no numbers or lie far from the picture, or too long a line.
    """
    corners = [_corners(polygon, height, width) for polygon in segmentation]
    return [points.ravel().tolist() for points in corners if len(points) >= 3]


def _corners(polygon: Any, height: int, width: int) -> Float64[np.ndarray, "n 2"]:
    numbers = isinstance(polygon, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in polygon
    )
    if not numbers or len(polygon) % 2:
        raise ValueError("a polygon is no list of x, y, x, y, …")
    points = np.array(polygon, np.float64).reshape(-1, 2)
    size = np.array([width, height])
    if not ((points >= -ROOM * size) & (points <= (1 + ROOM) * size)).all():  # nor NaN
        raise ValueError(f"a polygon leaves the picture of {width} x {height} pixels by far")
    steps = np.abs(np.diff(points, axis=0, append=points[:1])).max(1)
    if steps.sum() > LONGEST_OUTLINE * size.sum():
        raise ValueError(f"a polygon is a line of {steps.sum():,.0f} pixels")
    return points


def run_lengths(segmentation: dict, height: int, width: int) -> list[int]:
    """Lengths of runs of 0 and 1 in turn, down the columns, from COCO's text where it is one.

    Raises:
        ValueError: of another size than the picture, or lengths that do not add up to it.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"mask is {str(size)[:40]}, image {[height, width]} (height, width)")
    if isinstance(counts, str):
        counts = _decoded(counts)
    if not isinstance(counts, list) or not all(map(_whole(0), counts)):
        raise ValueError("run lengths are no list of whole numbers, or no text of COCO's")
    if sum(counts) != height * width:
        raise ValueError("run lengths do not add up to the image")
    return counts


def _decoded(text: str) -> list[int]:
    """COCO's text of run lengths: five bits a letter from the low ones up, the sixth says that
    more follow; from the third length on, the difference to the one before the last."""
    counts: list[int] = []
    value, place = 0, 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or place > 60:
            raise ValueError("run lengths are no text of COCO's")
        value |= (code & 31) << place
        place += 5
        if not code & 32:
            value -= (1 << place) if code & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, place = 0, 0
    if place:
        raise ValueError("run lengths break off")
    return counts
