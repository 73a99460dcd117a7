"""Small geometric helpers shared by the class drawings (object coordinates, y points down)."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from fsslib.data.scenes.pen import Look, Paint, Pen

Option = TypeVar("Option")


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of `options`, each equally likely."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability (0 to 1)."""
    return bool(rng.random() < probability)


def arc_points(
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    start: float = 0.0,
    stop: float = 2 * np.pi,
    count: int = 16,
) -> np.ndarray:
    """`(count, 2)` points on an ellipse from angle `start` to `stop` (radians, clockwise)."""
    angles = np.linspace(start, stop, count)
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def bend(start: tuple, control: tuple, stop: tuple, count: int = 9) -> np.ndarray:
    """`(count, 2)` points on the quadratic Bezier curve pulled from its chord to `control`."""
    t = np.linspace(0.0, 1.0, count)[:, None]
    start, control, stop = (np.asarray(p, dtype=float) for p in (start, control, stop))
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * stop


def mirrored(right: Sequence) -> np.ndarray:
    """Closed outline symmetric about x = 0, from its right half `(n, 2)` listed top to bottom."""
    right = np.asarray(right, dtype=float)
    return np.concatenate([right, right[::-1] * (-1.0, 1.0)])


def moved(points: Sequence, x: float, y: float, angle: float = 0.0, scale: float = 1.0):
    """`points` `(n, 2)` scaled, turned clockwise by `angle` about the origin, then moved."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return np.asarray(points, dtype=float) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def eye(pen: Pen, look: Look, x: float, y: float, radius: float) -> None:
    """A light disc with a dark pupil."""
    pen.ellipse(x, y, radius, radius, look.light)
    pen.ellipse(x - 0.15 * radius, y, 0.6 * radius, 0.6 * radius, look.dark)


def relief(look: Look) -> Paint:
    """`main` darker, or lighter where it is almost black: veins, ribs and other relief."""
    return look.shade(0.6 if max(look.main.colour) > 70 else 1.6)


def glass(look: Look) -> Paint:
    """The light paint, or the dark one on an object that is itself almost white."""
    return look.light if min(look.main.colour) < 200 else look.dark


def hollow(look: Look) -> Paint:
    """The dark paint, or the light one on an object that is itself almost black: openings."""
    return look.dark if max(look.main.colour) > 70 else look.light


def star_points(
    tips: int, radius: float, inner: float, x: float = 0.0, y: float = 0.0
) -> np.ndarray:
    """`(2 * tips, 2)` outline of a star, first tip up; `inner` radius is a share of `radius`."""
    angles = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    radii = radius * np.where(np.arange(2 * tips) % 2, inner, 1.0)
    return np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)


def heart_points(
    width: float, height: float, x: float = 0.0, y: float = 0.0, waist: float = 0.0
) -> np.ndarray:
    """`(36, 2)` outline of a heart centred on x, y; `waist` 0 (full) to 1 (drawn in foot)."""
    t = np.arange(36) * (2 * np.pi / 36)
    down = 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t) - 13 * np.cos(t)
    down = (down - down.min()) / (down.max() - down.min())
    across = np.sin(t) ** 3 * (1 - 0.3 * waist * np.sin(2 * np.pi * np.maximum(down - 0.5, 0)))
    return np.stack([x + across * width / 2, y + (down - 0.5) * height], axis=1)


def face(pen: Pen, paint: Paint, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """Two eyes and a smile, `size` wide: a friendly detail on stars, mugs and hearts."""
    eye_size = size * rng.uniform(0.1, 0.15)
    for side in (-1, 1):
        pen.ellipse(x + side * 0.3 * size, y - 0.14 * size, eye_size, eye_size * 1.25, paint)
    pen.arc(x, y + 0.02 * size, rng.uniform(0.2, 0.32) * size, 0.5, np.pi - 0.5, 0.14 * size, paint)
