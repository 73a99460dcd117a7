"""One object from nothing: random colours, random specimen, random pose."""

from __future__ import annotations

import numpy as np

from fsslib.data.scenes.classes import DRAW
from fsslib.data.scenes.palette import random_look
from fsslib.data.scenes.pen import Look, Pen
from fsslib.data.scenes.raster import Drawing


def random_object(
    name: str,
    rng: np.random.Generator,
    avoid: tuple[str, ...] = (),
    any_rotation: float = 0.12,
) -> tuple[Drawing, Look]:
    """A posed specimen of class `name`; its main colour is none of `avoid`.

    `any_rotation` is the share of poses that may stand on their head (see `random_pose`).
    """
    pen, look = Pen(), random_look(rng, avoid)
    DRAW[name](pen, look, rng)
    return Drawing(pen, random_pose(rng, any_rotation)), look


def random_distractor(rng: np.random.Generator) -> Drawing:
    """A posed thing of no class at all: a few overlapping blobs, slabs and bars.

    Distractors have the colours, shading and size of objects, so that telling "something" from
    ground does not suffice to find an object.
    """
    pen, look = Pen(), random_look(rng)
    paints = (look.main, look.accent, look.light, look.detail)
    for i in range(1 + int(rng.integers(3))):
        kind, x, y, reach, *radii = rng.random(14).tolist()
        x, y, reach = x - 0.5, y - 0.5, 0.3 + 0.5 * reach
        angles = np.sort((np.arange(5) + np.array(radii[:5])) * (2 * np.pi / 5))
        rim = np.stack([np.cos(angles), np.sin(angles)], 1)
        rim = rim * (reach * (0.5 + 0.6 * np.array(radii[5:10])))[:, None] + np.array([x, y])
        if kind < 0.45:
            pen.curve(rim, paints[i])
        elif kind < 0.75:
            pen.polygon(rim, paints[i])
        else:
            pen.line(rim[:3], 0.18 + 0.2 * radii[0], paints[i])
    return Drawing(pen, random_pose(rng, any_rotation=1.0))


def random_pose(rng: np.random.Generator, any_rotation: float = 0.12) -> np.ndarray:
    """(2, 2) matrix: stretch and shear a little, mirror half of the time, then turn.

    Turns lie within 25 degrees, but for a share `any_rotation` of poses, which turn at will.
    """
    turn, free, mirror, stretch, shear = rng.random(5).tolist()
    angle = (2 * turn - 1) * (np.pi if free < any_rotation else np.deg2rad(25))
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = 1 + 0.28 * (stretch - 0.5)
    side = -1.0 if mirror < 0.5 else 1.0
    lean = np.array([[side * stretch, 0.36 * (shear - 0.5)], [0.0, 1 / stretch]])
    return np.einsum("ij,jk->ik", np.array([[cos, -sin], [sin, cos]]), lean)
