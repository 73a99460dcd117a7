"""What stands in a panel: pictures, drawings over them, and maps with a fixed range."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fsslib.viz.overlay import Drawing
from fsslib.viz.sharp import Picture, enlarged, to_array


@dataclass(frozen=True)
class Map:
    """A map (h,w) whose colours go from `low` to `high`, whatever its own values are.

    `digits` of the ends stand beside the colour bar.
    """

    values: Picture
    low: float = 0.0
    high: float = 1.0
    digits: int = 2


Cell = Picture | Drawing | Map


def as_map(cell: Cell) -> Map | None:
    """The cell as a map, from 0 to 1 if it does not say otherwise; None for pictures."""
    if isinstance(cell, Map):
        return Map(to_array(cell.values), float(cell.low), float(cell.high), cell.digits)
    if isinstance(cell, Drawing) or to_array(cell).ndim == 3:
        return None
    return Map(to_array(cell))


def cell_image(cell: Cell, side: int) -> Image.Image:
    """The cell with its longer side `side` pixels long, or a few less.

    Cells of maps and of features (colours in 0..1) stay squares of one colour.
    """
    if (shown := as_map(cell)) is not None:
        return _resized(viridis(shown.values, shown.low, shown.high), side, smooth=False)
    pixels = cell.pixels if isinstance(cell, Drawing) else to_array(cell)
    if pixels.dtype != np.uint8:
        return _resized((255 * np.clip(pixels, 0, 1)).round().astype(np.uint8), side, smooth=False)
    return _resized(pixels if isinstance(cell, Drawing) else enlarged(pixels), side, smooth=True)


def viridis(
    values: Float[np.ndarray, "h w"], low: float, high: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours from dark to light, which keep their order in grey and for the colour-blind."""
    shares = (np.asarray(values, np.float64) - low) / max(high - low, 1e-12)
    return matplotlib.colormaps["viridis"](np.clip(shares, 0, 1), bytes=True)[..., :3]


def _resized(pixels: UInt8[np.ndarray, "h w 3"], side: int, smooth: bool) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if smooth and 0 <= side - max(image.size) <= 0.05 * side:
        return image  # pixel for pixel, in place of a blur
    share = side / max(image.size)
    size = tuple(max(1, round(share * length)) for length in image.size)
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)
