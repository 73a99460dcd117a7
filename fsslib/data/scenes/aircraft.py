"""Scenes-10i classes: airplane, rocket, balloon.

Every function draws one object upright into [-1, 1]^2 (y down, heading left or up) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, bend, chance, mirrored, pick
from fsslib.data.scenes.pen import Look, Pen


def airplane(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """An airliner from above, one from the side, or a small propeller plane."""
    pick(rng, (_plane_from_above, _plane_from_side, _propeller_plane))(pen, look, rng)


def _plane_from_above(pen, look, rng):
    half, root, chord = rng.uniform(0.13, 0.19), rng.uniform(-0.35, -0.1), rng.uniform(0.34, 0.5)
    sweep, tip = rng.uniform(0.1, 0.55), rng.uniform(0.12, 0.22)
    span, paint = 0.93, pick(rng, (look.main, look.shade(0.7), look.accent))
    if paint is look.accent:  # slender wings, so that the main colour keeps the upper hand
        half, chord, tip = 0.2, 0.3, 0.12
    wings = [(0.0, root), (span, root + sweep), (span, root + sweep + tip), (0.0, root + chord)]
    pen.polygon(mirrored(wings), paint)
    reach = rng.uniform(0.32, 0.45)
    pen.polygon(mirrored([(0.0, 0.55), (reach, 0.74), (reach, 0.92), (0.0, 0.84)]), paint)
    for x in (0.34, 0.62)[: int(rng.integers(0, 3))]:
        y = root + sweep * x / span
        for side in (-1, 1):
            pen.ellipse(side * x, y, 0.08, 0.16, look.detail)
    body = [(0.5 * half, -0.88), (half, -0.62), (half, 0.35), (0.06, 0.92)]
    pen.curve(mirrored([(0.02, -0.94), *body]), look.main)
    pen.ellipse(0.0, -0.68, 0.65 * half, 0.1, look.dark)


def _plane_from_side(pen, look, rng):
    half, fin = rng.uniform(0.17, 0.26), rng.uniform(0.45, 0.65)
    pen.polygon([(0.45, 0.0), (0.75, -fin), (0.95, -fin), (0.88, 0.05)], look.accent)
    body = [
        (-0.94, 0.05),
        (-0.75, -0.7 * half),
        (-0.4, -half),
        (0.4, -half),
        (0.94, -0.8 * half),
        (0.6, 0.55 * half),
        (0.1, half),
        (-0.6, 0.95 * half),
    ]
    pen.curve(body, look.main)
    for x in np.linspace(-0.4, 0.45, int(rng.integers(4, 7))):
        pen.ellipse(x, -0.35 * half, 0.06, 0.06, look.dark)
    pen.polygon([(-0.86, -0.1 * half), (-0.72, -0.66 * half), (-0.6, -0.3 * half)], look.dark)
    drop, back = rng.uniform(0.4, 0.62), rng.uniform(0.3, 0.5)
    pen.polygon(
        [(-0.22, 0.3 * half), (0.2, 0.3 * half), (back + 0.18, drop), (back - 0.08, drop)],
        look.accent,
    )
    pen.polygon([(0.55, -0.4 * half), (0.78, -0.4 * half), (0.93, 0.1), (0.78, 0.12)], look.accent)
    if chance(rng, 0.5):
        pen.ellipse(-0.05, half + 0.1, 0.18, 0.11, look.detail)


def _propeller_plane(pen, look, rng):
    high, fin = rng.uniform(0.24, 0.32), rng.uniform(0.3, 0.45)
    for x in (-0.5, -0.2):
        pen.line([(-0.35, 0.1), (x, 0.46)], 0.1, look.dark)
        pen.ellipse(x, 0.5, 0.12, 0.12, look.dark)
    pen.polygon([(0.6, -0.05), (0.75, -fin), (0.94, -fin), (0.93, 0.1)], look.accent)
    pen.ellipse(-0.16, -0.16, 0.24, 0.22, look.light)
    body = [
        (-0.8, -0.6 * high),
        (-0.3, -0.75 * high),
        (0.3, -0.5 * high),
        (0.92, -0.06),
        (0.9, 0.1),
        (0.2, high),
        (-0.4, high),
        (-0.8, 0.6 * high),
    ]
    pen.curve(body, look.main)
    if chance(rng, 0.5):
        pen.rectangle(-0.62, -0.58, 0.34, -0.42, look.accent, radius=0.07)
        for x in (-0.48, 0.2):
            pen.line([(x, -0.46), (x - 0.02, 0.1)], 0.1, look.dark)
    pen.rectangle(-0.6, 0.06, 0.3, 0.22, look.accent, radius=0.07)
    blade = rng.uniform(0.36, 0.5)
    pen.ellipse(-0.87, 0.0, 0.07, blade, look.detail)
    pen.ellipse(-0.84, 0.0, 0.11, 0.11, look.dark)


def rocket(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A pointed hull with nose cap, portholes and fins; flame, band or boosters vary."""
    half, tail = rng.uniform(0.28, 0.38), rng.uniform(0.42, 0.58)
    shoulder, foot = rng.uniform(-0.3, 0.1), half * rng.uniform(0.65, 1.0)
    if chance(rng, 0.7):
        flame = [(0.7 * foot, tail - 0.05), (0.6 * foot, tail + 0.16), (0.0, 0.95)]
        pen.polygon(mirrored(flame), look.detail)
        pen.polygon(mirrored([(0.3 * foot, tail - 0.05), (0.0, 0.8)]), look.light)
    if chance(rng, 0.3):
        for side in (-1, 1):
            x = side * (half + 0.13)
            pen.polygon(
                [(x, -0.3), (x + 0.14, 0.0), (x + 0.14, tail), (x - 0.14, tail), (x - 0.14, 0.0)],
                look.accent,
            )
    else:
        span, drop = rng.uniform(0.55, 0.75), tail + rng.uniform(-0.05, 0.25)
        for side in (-1, 1):
            fin = [
                (0.8 * half, tail - rng.uniform(0.45, 0.6)),
                (span, tail - 0.1),
                (span, drop),
                (0.7 * foot, tail - 0.03),
            ]
            pen.polygon(np.array(fin) * (side, 1.0), look.accent)
    nose = bend((0.0, -0.95), (0.75 * half, -0.75), (half, shoulder), 8)
    side = bend((half, shoulder), (half, 0.25), (foot, tail), 6)
    pen.polygon(mirrored(np.concatenate([nose, side])), look.main)
    pen.polygon(mirrored(nose[: int(rng.integers(4, 6))]), pick(rng, (look.detail, look.dark)))
    first, radius = min(shoulder, -0.1), 0.6 * half
    for y in (first, first + 0.42)[: int(rng.integers(1, 3))]:
        pen.ellipse(0.0, y, radius, radius, look.dark)
        pen.ellipse(0.0, y, 0.65 * radius, 0.65 * radius, look.light)


def balloon(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A hot-air balloon with basket, or one to three toy balloons on strings."""
    (_hot_air_balloon if chance(rng, 0.5) else _toy_balloons)(pen, look, rng)


def _hot_air_balloon(pen, look, rng):
    wide, low = rng.uniform(0.6, 0.8), rng.uniform(0.38, 0.5)
    basket = rng.uniform(0.14, 0.2)
    for side in (-1, 1):
        pen.line([(side * 0.26, low - 0.1), (side * (basket - 0.04), 0.75)], 0.1, look.dark)
    pen.rectangle(-basket, 0.66, basket, 0.94, look.detail, radius=0.04)
    dome = arc_points(0.0, wide - 0.95, wide, wide, -np.pi / 2, 0.25, 10)
    skirt = bend(dome[-1], (0.8 * wide, 0.15), (0.24, low), 5)[1:]
    right = np.concatenate([dome, skirt])
    pen.polygon(mirrored(right), look.main)
    style = pick(rng, ("gores", "band", "plain"))
    if style == "gores":
        for inner, outer in ((0.0, 0.18), (0.48, 0.7)):
            gore = np.concatenate([right * (outer, 1.0), right[::-1] * (inner, 1.0)])
            for side in (-1, 1):
                pen.polygon(gore * (side, 1.0), look.accent)
    elif style == "band":
        y = wide - 0.95
        pen.polygon(
            [
                (-0.97 * wide, y - 0.18),
                (0.97 * wide, y - 0.18),
                (0.97 * wide, y + 0.14),
                (-0.97 * wide, y + 0.14),
            ],
            look.accent,
        )
    pen.line([(-0.24, low), (0.24, low)], 0.1, look.dark)


def _toy_balloons(pen, look, rng):
    count = int(rng.integers(1, 4))
    size = (0.6, 0.44, 0.4)[count - 1] * rng.uniform(0.9, 1.05)
    tall = size * rng.uniform(1.0, 1.25)
    knot = (rng.uniform(-0.25, 0.25), 0.88)
    places = (((0.0, 0.0),), ((-0.42, 0.12), (0.36, 0.0)), ((-0.5, 0.12), (0.5, 0.05), (0.0, 0.0)))
    paints = (look.accent, look.detail, look.main)[3 - count :]
    for (x, drop), paint in zip(places[count - 1], paints, strict=True):
        grow = 1.15 if paint is look.main else 1.0  # the caption names this one's colour
        wide, high = grow * size, grow * tall
        y = high - 0.94 + drop
        pull = (0.3 * x, 0.6) if x else (-2 * knot[0], 0.6)
        pen.line(bend((x, y + high), pull, knot, 7), 0.1, look.dark)
        pen.polygon(
            [(x, y + 0.8 * high), (x + 0.14, y + high + 0.1), (x - 0.14, y + high + 0.1)], paint
        )
        pen.ellipse(x, y, wide, high, paint)
        pen.ellipse(x - 0.4 * wide, y - 0.4 * high, 0.16 * wide, 0.24 * high, look.light, 0.4)
