"""Pointing at a patch: a frame that is seen on any picture, and the picture to click on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from PIL import Image

from fsslib.viz.overlay import BLACK, LIGHT, Drawing
from fsslib.viz.sharp import Picture, enlarged, to_array

Grid = tuple[int, int]
FRAME = 3  # pixels of each of the three lines, of about 388


def framed(image: Picture, patch: tuple[int, int], grid: Grid) -> Drawing:
    """The picture with one patch in a frame, white with a black line on both sides.

    Args:
        image: (3,h,w) or (h,w,3) uint8; what `grid` does not divide is left over at its end.
        patch: its row and column.
        grid: rows and columns of patches.

    Raises:
        ValueError: there is no such patch.
    """
    if not all(0 <= place < count for place, count in zip(patch, grid, strict=True)):
        raise ValueError(f"patch {tuple(patch)} is not in a grid of {grid[0]} x {grid[1]}")
    small, pixels = to_array(image).shape[:2], enlarged(image).copy()
    factor = len(pixels) // small[0]
    steps = [factor * (length // count) for length, count in zip(small, grid, strict=True)]
    (top, left), (high, wide) = (p * s for p, s in zip(patch, steps, strict=True)), steps
    for out, colour in ((3 * FRAME, BLACK), (2 * FRAME, LIGHT), (FRAME, BLACK)):
        _rectangle(pixels, top - out, left - out, top + high + out, left + wide + out, colour)
    return Drawing(pixels)


def _rectangle(pixels: Any, top: int, left: int, bottom: int, right: int, colour: Any) -> None:
    """A line of `FRAME` pixels within these bounds, cut at the picture's edges, in place."""
    inner = (slice(max(top + FRAME, 0), max(bottom - FRAME, 0)),)
    inner += (slice(max(left + FRAME, 0), max(right - FRAME, 0)),)
    inside = pixels[inner].copy()
    pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = colour
    pixels[inner] = inside


class PatchPicker(anywidget.AnyWidget):
    """A picture whose patches are chosen by a click or by arrow keys; one tab stop.

    Args:
        pictures: (3,h,w) or (h,w,3) uint8 each.
        grid: rows and columns of patches.
        which: the control whose value is the number of the picture; None where there is one.
        value: row and column to begin with; the middle where none is given.

    Attributes:
        value: row and column, both changed at once.
    """

    _esm = Path(__file__).with_name("patch_picker.js")
    picture = traitlets.Bytes().tag(sync=True)
    rows, columns = (traitlets.Int().tag(sync=True) for _ in range(2))
    value = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)
    description = traitlets.Unicode("patch").tag(sync=True)

    def __init__(
        self,
        pictures: Sequence[Picture],
        grid: Grid,
        which: Any = None,
        value: tuple[int, int] | None = None,
        **traits: Any,
    ) -> None:
        rows, columns = grid
        super().__init__(
            rows=rows, columns=columns, value=value or (rows // 2, columns // 2), **traits
        )
        self.pictures = pictures
        self.show(0 if which is None else which.value)
        if which is not None:
            which.observe(lambda change: self.show(change["new"]), "value")

    def show(self, number: int) -> None:
        """Show another of the pictures; the chosen patch stays where it is."""
        small, pixels = to_array(self.pictures[number]).shape[:2], enlarged(self.pictures[number])
        factor = len(pixels) // small[0]
        high, wide = (
            factor * (length // count) * count
            for length, count in zip(small, (self.rows, self.columns), strict=True)
        )
        content = io.BytesIO()
        Image.fromarray(pixels[:high, :wide]).save(content, "JPEG", quality=85)
        self.picture = content.getvalue()

    @traitlets.validate("value")
    def _within(self, proposal: Any) -> tuple[int, int]:
        row, column = proposal["value"]
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise traitlets.TraitError(
                f"patch {(row, column)} is not in a grid of {self.rows} x {self.columns}"
            )
        return row, column
