"""From vector parts to pixels: poses a recorded object and draws it, antialiased.

The parts are drawn as part numbers into one 8-bit image at twice the resolution, on the object's
own crop only; patterns renumber pixels, a colour table turns numbers into RGB, and a 2x2 mean
gives soft edges. Pillow does the drawing in C, so one object costs a fraction of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from fsslib.data.scenes.noise import noise_tile
from fsslib.data.scenes.pen import Paint, Pen, shade_colour

SUPERSAMPLING = 2
_GRADIENT_STEPS = 8


@dataclass(frozen=True)
class Sprite:
    """One object's pixels on its crop of the image.

    Attributes:
        left, top: where the crop lies in the image, pixels.
        colour: (h, w, 3) float32, 0..255, already multiplied by `alpha`.
        alpha: (h, w) uint8 coverage, 0..255.
    """

    left: int
    top: int
    colour: np.ndarray
    alpha: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the crop, to index an image with."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class Drawing:
    """A recorded object, flattened for fast posing.

    Args:
        pen: the parts.
        matrix: (2, 2) pose, applied to object coordinates: rotation, mirror, shear, stretch.
    """

    def __init__(self, pen: Pen, matrix: np.ndarray) -> None:
        if not any(part.paint for part in pen.parts):
            raise ValueError("the pen holds no painted part; draw at least one before rasterising")
        self.matrix = np.asarray(matrix, dtype=float)
        self.paints = list(dict.fromkeys(part.paint for part in pen.parts if part.paint))
        number = {paint: i + 1 for i, paint in enumerate(self.paints)}
        number[None] = 0
        polygons = [
            (polygon, number[part.paint]) for part in pen.parts for polygon in part.polygons
        ]
        self.numbers = [n for _, n in polygons]
        self.ends = np.cumsum([2 * len(polygon) for polygon, _ in polygons]).tolist()
        # einsum keeps the sums in a fixed order, whatever BLAS the machine has
        points = np.concatenate([polygon for polygon, _ in polygons])
        self.points = np.einsum("np,qp->nq", points, self.matrix)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the posed object, object units."""
        return (*self.points.min(0).tolist(), *self.points.max(0).tolist())

    def numbers_image(
        self, scale: float, shift: tuple[float, float], size: tuple[int, int], flat: bool = False
    ) -> Image.Image:
        """Draw part numbers: pixel = scale * point + shift. With `flat`, every paint is 255."""
        image = Image.new("L", size)
        polygon = ImageDraw.Draw(image).polygon
        # Pillow cuts coordinates down to integers, and its polygons include their outline
        flattened = (self.points * scale + shift).ravel().tolist()
        start = 0
        for end, number in zip(self.ends, self.numbers, strict=True):
            polygon(flattened[start:end], fill=255 if flat and number else number)
            start = end
        return image

    def silhouette(self, resolution: int = 64) -> tuple[Image.Image, float]:
        """Mask (L, 0/255) cropped to the object's true extent, and its pixels per object unit.

        Erased parts count as outside, also for the extent.
        """
        x0, y0, x1, y1 = self.bounds
        scale = (resolution - 1) / max(x1 - x0, y1 - y0)
        size = (int((x1 - x0) * scale) + 1, int((y1 - y0) * scale) + 1)
        image = self.numbers_image(scale, (-x0 * scale, -y0 * scale), size, flat=True)
        box = image.getbbox() or (0, 0, *size)
        self.extent_origin = (x0 + box[0] / scale, y0 + box[1] / scale)
        return image.crop(box), scale

    def sprite(self, scale: float, x: float, y: float, size: int) -> Sprite | None:
        """Draw the object, `scale` pixels a unit, its origin at pixel (x, y), into size x size.

        Returns None when nothing of it falls into the image.
        """
        x0, y0, x1, y1 = self.bounds
        left, top = max(int(x + scale * x0) - 1, 0), max(int(y + scale * y0) - 1, 0)
        right = min(int(x + scale * x1) + 3, size)
        bottom = min(int(y + scale * y1) + 3, size)
        if right <= left or bottom <= top:
            return None
        shift = (SUPERSAMPLING * (x - left), SUPERSAMPLING * (y - top))
        fine = (SUPERSAMPLING * (right - left), SUPERSAMPLING * (bottom - top))
        numbers = self.numbers_image(SUPERSAMPLING * scale, shift, fine)
        coverage = numbers.point([0] + [255] * 255).reduce(SUPERSAMPLING)
        rgb = self._coloured(numbers, SUPERSAMPLING * scale, shift).reduce(SUPERSAMPLING)
        return Sprite(left, top, np.asarray(rgb, np.float32), np.asarray(coverage))

    def _coloured(
        self, numbers: Image.Image, scale: float, shift: tuple[float, float]
    ) -> Image.Image:
        """Part numbers -> RGB, patterns included; erased and empty pixels are black."""
        table = [(0, 0, 0)] + [paint.colour for paint in self.paints]
        if any(paint.pattern for paint in self.paints):
            ids = np.array(numbers)
            along, down = self._object_coordinates(ids.shape, scale, shift)
            for number, paint in enumerate(self.paints, 1):
                if paint.pattern:
                    level = _pattern_level(paint, along, down)
                    first = len(table) - 1
                    table += _pattern_colours(paint)
                    np.copyto(ids, level + np.uint8(first), where=(ids == number) & (level > 0))
            numbers = Image.fromarray(ids)
        numbers.putpalette([channel for colour in table for channel in colour])
        return numbers.convert("RGB")

    def _object_coordinates(
        self, shape: tuple[int, int], scale: float, shift: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Unposed x and y of every pixel, so that a pattern turns with its object."""
        (a, b), (c, d) = (self.matrix * scale).tolist()
        determinant = a * d - b * c
        columns = np.arange(shape[1], dtype=np.float32) - np.float32(shift[0])
        rows = (np.arange(shape[0], dtype=np.float32) - np.float32(shift[1]))[:, None]
        x = (np.float32(d) * columns - np.float32(b) * rows) / np.float32(determinant)
        y = (np.float32(a) * rows - np.float32(c) * columns) / np.float32(determinant)
        return x, y


def _pattern_colours(paint: Paint) -> list[tuple[int, int, int]]:
    """The colours of levels 1, 2, ... of a pattern."""
    second = paint.second or shade_colour(paint.colour, 0.6)
    if paint.pattern != "gradient":
        return [second]
    steps = [step / _GRADIENT_STEPS for step in range(1, _GRADIENT_STEPS + 1)]
    return [
        tuple(round(a + (b - a) * t) for a, b in zip(paint.colour, second, strict=True))
        for t in steps
    ]


def _pattern_level(paint: Paint, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """uint8 per pixel: 0 where the first colour shows, else 1 (or 1..8 of a gradient)."""
    cos, sin = np.float32(np.cos(paint.angle)), np.float32(np.sin(paint.angle))
    u = x * cos + y * sin
    if paint.pattern == "gradient":
        return np.clip((u + 0.9) * (_GRADIENT_STEPS / 1.8), 0, _GRADIENT_STEPS).astype(np.uint8)
    period = np.float32(1 / max(paint.scale, 0.02))
    u = u * period
    if paint.pattern == "stripes":
        return (u - np.floor(u) > 0.58).astype(np.uint8)
    v = (y * cos - x * sin) * period
    if paint.pattern == "checks":
        return ((np.floor(2 * u) + np.floor(2 * v)).astype(np.int32) & 1).astype(np.uint8)
    if paint.pattern == "dots":
        return ((u - np.floor(u) - 0.5) ** 2 + (v - np.floor(v) - 0.5) ** 2 < 0.1).astype(np.uint8)
    tile = noise_tile()
    cells = tile[(5 * v).astype(np.int32) & 255, (5 * u).astype(np.int32) & 255]
    return (cells > 195).astype(np.uint8)
