"""Scenes-10i classes: fish, cat.

Every function draws one object upright into [-1, 1]^2 (y down, facing left) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

from collections.abc import Callable

import numpy as np

from fsslib.data.scenes.parts import bend, chance, eye, mirrored, moved, pick
from fsslib.data.scenes.pen import Look, Pen
from fsslib.data.scenes.shelled_animals import snail, turtle
from fsslib.data.scenes.winged_animals import bird, butterfly


def fish(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Side view: slim or round body, forked or fan tail, one or two top fins, bands or not."""
    high, end, hump = rng.uniform(0.3, 0.62), rng.uniform(0.34, 0.5), rng.uniform(-0.45, -0.1)
    _fish_fins(pen, look, rng, high, hump)
    _fish_tail(pen, look, rng, end)
    back = [(-0.93, 0.0), (-0.72, -0.6 * high), (hump, -high), (0.22, -0.55 * high), (end, -0.13)]
    belly = [(x, -y * rng.uniform(0.85, 1.05)) for x, y in back[:0:-1]]
    pen.curve(back + belly, look.main)
    for x in np.linspace(-0.25, 0.2, int(rng.integers(0, 4))):
        pen.ellipse(x, 0.0, 0.07, high * (0.75 - 0.6 * max(x, 0.0)), look.accent)
    if chance(rng, 0.5):
        pen.curve([(-0.25, 0.02), (0.1, -0.08), (0.13, 0.2), (-0.1, 0.17)], look.shade(0.7))
    eye(pen, look, -0.64, -0.2 * high, rng.uniform(0.09, 0.13))


def _fish_fins(pen, look, rng, high, hump):
    tip = -high - rng.uniform(0.15, 0.3)
    low = -0.4 * high
    if chance(rng, 0.5):
        top = [(hump - 0.2, low), (hump + 0.1, tip), (0.38, tip * 0.85), (0.28, low)]
    else:
        spikes = np.linspace(hump - 0.15, 0.35, 7)
        top = [(x, tip * (1 if i % 2 else 0.75)) for i, x in enumerate(spikes)]
        top = [(hump - 0.25, low), *top, (0.3, low)]
    pen.polygon(top, look.accent)
    if chance(rng, 0.7):
        pen.polygon(
            [(-0.25, -low), (0.12, high + rng.uniform(0.1, 0.22)), (0.2, -low)], look.accent
        )


def _fish_tail(pen, look, rng, end):
    half, notch = rng.uniform(0.32, 0.6), rng.uniform(0.6, 0.92)
    paint = pick(rng, (look.main, look.shade(0.7)))
    if chance(rng, 0.5):
        pen.polygon([(end - 0.15, 0.0), (0.93, -half), (notch, 0.0), (0.93, half)], paint)
        return
    for side in (-1, 1):
        pen.ellipse(0.68, 0.42 * half * side, 0.28, 0.14 + 0.2 * half, paint, 0.5 * side)
    pen.ellipse(end, 0.0, 0.18, 0.14, paint)


def cat(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A sitting cat from the front, a walking one from the side, or a face."""
    pick(rng, (_sitting_cat, _walking_cat, _cat_face))(pen, look, rng)


def _cat_head(pen, look, rng, x, y, radius):
    wide, ear = radius * rng.uniform(1.05, 1.2), radius * rng.uniform(0.4, 0.6)
    for side in (-1, 1):
        tip = (x + side * wide * rng.uniform(0.75, 0.95), y - 0.85 * radius - ear)
        root = [
            (x + side * 0.1 * wide, y - 0.7 * radius),
            tip,
            (x + side * wide, y + 0.05 * radius),
        ]
        pen.polygon(root, look.main)
        middle = np.mean(root, axis=0)
        pen.polygon(middle + 0.5 * (np.array(root) - middle), look.detail)
    pen.ellipse(x, y, wide, 0.88 * radius, look.main)
    pen.ellipse(x, y + 0.42 * radius, 0.5 * radius, 0.34 * radius, look.light)
    for side in (-1, 1):
        eye(pen, look, x + side * 0.45 * wide, y - 0.1 * radius, 0.23 * radius)
    nose = [(-0.17, 0.22), (0.17, 0.22), (0.0, 0.42)]
    pen.polygon(moved(nose, x, y, scale=radius), look.dark)


def _sitting_cat(pen, look, rng):
    radius, hip = rng.uniform(0.36, 0.43), rng.uniform(0.42, 0.56)
    swing = rng.uniform(0.75, 0.9)
    pen.line(bend((0.25, 0.8), (1.15, 0.75), (swing, rng.uniform(-0.15, 0.3))), 0.18, look.main)
    body = [(0.2, -0.2), (0.33, 0.2), (hip, 0.62), (0.8 * hip, 0.9)]
    pen.curve(mirrored(body), look.main)
    pen.ellipse(0.0, 0.28, 0.19, 0.34, pick(rng, (look.light, look.accent, look.main)))
    for side in (-1, 1):
        pen.ellipse(side * 0.2, 0.86, 0.17, 0.1, look.light)
    _cat_head(pen, look, rng, 0.0, -0.36, radius)


def _walking_cat(pen, look, rng):
    back, deep = rng.uniform(-0.14, 0.0), rng.uniform(0.36, 0.46)
    pen.line(
        bend((0.55, 0.15), (0.9, 0.1), (rng.uniform(0.62, 0.84), rng.uniform(-0.85, -0.4))),
        0.16,
        look.main,
    )
    floor = rng.uniform(0.72, 0.88)
    for x, paint in (
        (-0.3, look.shade(0.7)),
        (0.36, look.shade(0.7)),
        (-0.42, look.main),
        (0.52, look.main),
    ):
        step = x + rng.uniform(-0.1, 0.1)
        pen.line([(x, back + 0.25), (step, floor)], 0.18, paint)
    pen.rectangle(-0.6, back, 0.68, back + deep, look.main, radius=0.18)
    if chance(rng, 0.5):
        for x in (-0.1, 0.13, 0.36):
            pen.line([(x, back + 0.06), (x - 0.04, back + 0.2)], 0.1, look.accent)
    _cat_head(pen, look, rng, -0.5, back - 0.15, rng.uniform(0.33, 0.39))


def _cat_face(pen, look, rng):
    _cat_head(pen, look, rng, 0.0, 0.18, rng.uniform(0.68, 0.76))
    if chance(rng, 0.6):
        for x in (-0.17, 0.0, 0.17):
            pen.line([(x, -0.36), (x * 0.8, -0.18)], 0.1, look.accent)
    for side in (-1, 1):
        for y in (0.42, 0.6):
            pen.line([(side * 0.5, y - 0.02), (side * 0.92, 1.3 * y - 0.16)], 0.1, look.dark)


DRAW: dict[str, Callable[[Pen, Look, np.random.Generator], None]] = {
    "fish": fish,
    "cat": cat,
    "butterfly": butterfly,
    "bird": bird,
    "snail": snail,
    "turtle": turtle,
}
