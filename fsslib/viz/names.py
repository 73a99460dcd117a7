"""Names written into the segments of a label map, so that forty classes need no forty colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt, label

from fsslib.data.episode import IGNORE
from fsslib.viz.lettering import font

LEAST_SHARE = 0.004  # of the picture: smaller pieces of a segment go without a name

Box = tuple[int, int, int, int]


def write_names(
    picture: UInt8[np.ndarray, "h w 3"], labels: Shaped[np.ndarray, "h w"], names: Sequence[str]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the name of every label at the middle of its largest piece.

    A small piece goes without, and one whose middle is covered by names of larger ones.

    Args:
        names: of the labels 1, 2, …; 0 and 255 have none.

    Raises:
        ValueError: a label has no name.
    """
    values = [int(v) for v in np.unique(labels) if v not in (0, IGNORE)]
    if values and max(values) > len(names):
        raise ValueError(f"label {max(values)} has no name: {len(names)} names were given")
    canvas = Image.fromarray(picture)
    draw, occupied = ImageDraw.Draw(canvas), []
    letters = font(max(9, len(picture) // 15), bold=True)
    pieces = [(*_largest_piece(labels == value), names[value - 1]) for value in values]
    for share, row, column, name in sorted(pieces, reverse=True):
        if share >= LEAST_SHARE:
            box = _free_place(draw, letters, name, (column, row), occupied, canvas.size)
            if box is None:
                continue
            occupied.append(box)
            draw.text(box[:2], name, "white", letters, stroke_width=2, stroke_fill="black")
    return np.asarray(canvas)


def _largest_piece(inside: np.ndarray) -> tuple[float, int, int]:
    """Share of the picture, and row and column of the point farthest from the piece's edge."""
    pieces, _ = label(inside)
    largest = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    depth = distance_transform_edt(np.pad(largest, 1))  # the picture's edge is one, too
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return float(largest.mean()), int(row) - 1, int(column) - 1


def _free_place(
    draw: ImageDraw.ImageDraw,
    letters: ImageFont.FreeTypeFont,
    name: str,
    centre: tuple[int, int],
    occupied: list[Box],
    size: tuple[int, int],
) -> Box | None:
    """Where the name goes: within the picture, a line lower or higher if another name is there;
    None if it would cover one there as well, since farther off it would name something else."""
    left, _, right, height = draw.textbbox((0, 0), name, letters, stroke_width=2)
    first = 2 - left  # the outline of the first letter reaches to the left of where it starts
    x = min(max(centre[0] - (left + right) // 2, first), max(size[0] - right - 2, first))
    start = min(max(centre[1] - height // 2, 0), max(size[1] - height - 2, 0))
    for y in (start, start + height, start - height):
        box = (x, y, x + right, y + height)
        if 0 <= y <= size[1] - height and not any(_meet(box, other) for other in occupied):
            return box
    return None


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
