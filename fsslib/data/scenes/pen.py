"""The drawing board of Scenes-10i: a `Pen` records the parts of one object as vector shapes.

A class of the benchmark is a function `draw(pen, look, rng)` that lays parts on the square
[-1, 1]^2 (x to the right, y DOWN). Nothing is painted here: every part is kept as plain polygons,
so that one recorded object can be posed, scaled and rasterised at any size (see `raster.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

PATTERNS = ("stripes", "dots", "checks", "speckle", "gradient")  # besides None

Colour = tuple[int, int, int]
Points = Sequence[Sequence[float]] | np.ndarray


@dataclass(frozen=True)
class Paint:
    """What a part is filled with.

    Attributes:
        colour: RGB, 0..255.
        pattern: None for one flat colour, or one of `PATTERNS`.
        second: the second colour of the pattern; None takes a darker shade of `colour`.
        scale: period of the pattern in object units (the object is about 1.8 wide).
        angle: direction of the pattern in radians.
    """

    colour: Colour
    pattern: str | None = None
    second: Colour | None = None
    scale: float = 0.2
    angle: float = 0.0

    def __post_init__(self) -> None:
        if self.pattern is not None and self.pattern not in PATTERNS:
            raise ValueError(
                f"pattern={self.pattern!r} is unknown; choose None or one of {PATTERNS}"
            )


class Part(NamedTuple):
    """One recorded part: polygons (n_i, 2) that share a paint; `paint=None` erases."""

    polygons: tuple[np.ndarray, ...]
    paint: Paint | None


@dataclass(frozen=True)
class Look:
    """The colours of one object, drawn at random but coherent.

    Attributes:
        main: paint of the largest part; captions name its colour.
        accent: a second, contrasting paint, may be patterned.
        light: light neutral or tint.
        dark: dark neutral or shade.
        detail: for small parts, strong contrast to `main`.
        colour_name: the word for `main` ("red", "blue", ...).
        pattern_name: "" or the word for the pattern of `main` ("striped", "dotted", ...).
    """

    main: Paint
    accent: Paint
    light: Paint
    dark: Paint
    detail: Paint
    colour_name: str
    pattern_name: str = ""

    def shade(self, factor: float) -> Paint:
        """`main`, darker (factor < 1) or lighter (factor > 1); a pattern is shaded with it."""
        second = self.main.second
        return replace(
            self.main,
            colour=shade_colour(self.main.colour, factor),
            second=None if second is None else shade_colour(second, factor),
        )


def shade_colour(colour: Colour, factor: float) -> Colour:
    """Multiply towards black for factor < 1; blend towards white for factor > 1.

    Blending (rather than multiplying) upwards lets black become grey instead of staying black.
    """
    if factor <= 1:
        return tuple(int(channel * max(factor, 0.0)) for channel in colour)
    return tuple(int(255 - (255 - channel) / factor) for channel in colour)


class Pen:
    """Records parts in object coordinates; later parts cover earlier ones."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def polygon(self, points: Points, paint: Paint | None) -> None:
        """Fill the straight-edged outline through `points` (n, 2), n >= 3."""
        self._add((_as_points(points, 3),), paint)

    def curve(self, points: Points, paint: Paint | None) -> None:
        """Fill the closed smooth outline (Catmull-Rom spline) through `points` (n, 2), n >= 3."""
        self._add((_catmull_rom(_as_points(points, 3)),), paint)

    def ellipse(
        self, cx: float, cy: float, rx: float, ry: float, paint: Paint | None, angle: float = 0.0
    ) -> None:
        """Fill an ellipse with half axes `rx`, `ry`, turned by `angle` radians (clockwise)."""
        points = _circle(32) * (rx, ry)
        if angle:
            c, s = np.cos(angle), np.sin(angle)
            points = points @ np.array([[c, s], [-s, c]])
        self._add((points + np.array([cx, cy]),), paint)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, paint: Paint | None, radius: float = 0.0
    ) -> None:
        """Fill an upright rectangle, with corners rounded by `radius`."""
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
        corners = np.array([(x1, y1), (x0, y1), (x0, y0), (x1, y0)], dtype=float)
        if radius > 0:
            inner = corners + radius * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
            quarters = _circle(16)[(np.arange(4)[:, None] * 4 + np.arange(5)) % 16]
            corners = (inner[:, None] + radius * quarters).reshape(-1, 2)
        self._add((corners,), paint)

    def line(self, points: Points, width: float, paint: Paint | None, closed: bool = False) -> None:
        """Stroke the path through `points` (n, 2), n >= 2, with round caps and joints."""
        path = _as_points(points, 2)
        joints = path[:, None] + _circle(12) * (width / 2)
        end = np.concatenate([path[1:], path[:1]]) if closed else path[1:]
        start = path if closed else path[:-1]
        along = end - start
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
        across = np.stack([-along[:, 1], along[:, 0]], 1) * (width / 2 / length)[:, None]
        bars = np.stack([start + across, end + across, end - across, start - across], 1)
        self._add((*bars, *joints), paint)

    def arc(
        self,
        cx: float,
        cy: float,
        r: float,
        start: float,
        stop: float,
        width: float,
        paint: Paint | None,
    ) -> None:
        """Stroke a circular arc with round caps from angle `start` to `stop` (radians).

        Angle 0 points right and angles grow clockwise on the screen (pi / 2 points down).
        """
        steps = max(4, int(abs(stop - start) * 5))
        angles = np.linspace(start, stop, steps + 1)
        rays = np.stack([np.cos(angles), np.sin(angles)], 1)
        centre = np.array([cx, cy])
        band = np.concatenate([rays * (r + width / 2), rays[::-1] * (r - width / 2)]) + centre
        caps = (centre + rays[[0, -1]] * r)[:, None] + _circle(12) * (width / 2)
        self._add((band, *caps), paint)

    def _add(self, polygons: tuple[np.ndarray, ...], paint: Paint | None) -> None:
        self.parts.append(Part(polygons, paint))


@cache
def _circle(count: int) -> np.ndarray:
    """(count, 2) points of the unit circle, clockwise on the screen."""
    angles = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _as_points(points: Points, least: int) -> np.ndarray:
    array = np.asarray(points, dtype=float)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < least:
        raise ValueError(
            f"points have shape {array.shape}, expected (n, 2) with n >= {least}: pass (x, y) pairs"
        )
    return array


@cache
def _spline_weights(steps: int) -> np.ndarray:
    """(steps, 4) Catmull-Rom weights of four neighbouring control points."""
    t = np.arange(steps) / steps
    return 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )


def _catmull_rom(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """(n, 2) -> (n * steps, 2): the closed spline through the points."""
    neighbours = np.stack([np.roll(points, shift, axis=0) for shift in (1, 0, -1, -2)], 1)
    return (_spline_weights(steps) @ neighbours).reshape(-1, 2)
