"""Scenes-10i classes: mushroom, flower, cactus.

Every function draws one object upright into [-1, 1]^2 (y down) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

from collections.abc import Callable

import numpy as np

from fsslib.data.scenes.parts import arc_points, bend, chance, mirrored, moved, pick, relief
from fsslib.data.scenes.pen import Look, Pen
from fsslib.data.scenes.trees import apple, leaf, tree


def mushroom(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A domed, flat or pointed cap on a thick stem, sometimes with spots, skirt or a small twin."""
    if chance(rng, 0.3):
        side = pick(rng, (-1, 1))
        _one_mushroom(pen, look, rng, -0.2 * side, 0.92, 0.82)
        _one_mushroom(pen, look, rng, 0.52 * side, 0.92, 0.45)
    else:
        _one_mushroom(pen, look, rng, 0.0, 0.92, 1.0)


def _one_mushroom(pen, look, rng, x, foot, size):
    wide, high, rim = rng.uniform(0.68, 0.92), rng.uniform(0.6, 1.0), rng.uniform(-0.25, 0.1)
    thin, thick = rng.uniform(0.17, 0.28), rng.uniform(0.22, 0.38)
    stem = mirrored([(thin, rim - 0.2), (thin, 0.2), (thick, 0.75), (0.75 * thick, 0.92)])
    pen.curve(moved(stem, x, foot - 0.92 * size, scale=size), look.light)

    def at(points):
        return moved(points, x, foot - 0.92 * size, scale=size)

    if chance(rng, 0.4):
        pen.polygon(
            at([(-thin, rim), (thin, rim), (thin + 0.14, rim + 0.35), (-thin - 0.14, rim + 0.35)]),
            look.accent,
        )
    top = max(rim - high, -0.92)
    pointed = chance(rng, 0.3)
    if pointed:
        right = bend((0.0, top), (0.35 * wide, rim - 0.35), (wide, rim))
    else:
        right = arc_points(0.0, rim, wide, rim - top, -np.pi / 2, 0.0, 9)
    sag = bend((wide, rim), (0.7 * wide, rim + rng.uniform(0.1, 0.3)), (0.0, rim + 0.08), 5)
    pen.polygon(at(mirrored(np.concatenate([right, sag]))), look.main)
    spots = np.array([(0.0, 0.68), (-0.45, 0.3), (0.42, 0.36), (-0.05, 0.2)])
    for u, v in spots[: pick(rng, (0, 2, 3, 4))]:
        spot = at([((0.6 if pointed else 1.0) * u * wide, rim + v * (top - rim))])[0]
        pen.ellipse(*spot, 0.12 * size, 0.1 * size, look.accent)


def flower(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A daisy-like flower or a tulip on a stem with leaves, or a large blossom without one."""
    if chance(rng, 0.25):
        _blossom(pen, look, rng, 0.0, 0.0, 0.93)
        return
    bow = rng.uniform(-0.2, 0.2)
    pen.line(bend((bow, 0.88), (-bow, 0.5), (0.0, -0.1)), 0.13, look.dark)
    leaf_paint = pick(rng, (look.dark, look.accent))
    for side in (-1, 1)[: int(rng.integers(1, 3))]:
        blade = bend((0.0, 0.82), (0.15, 0.35), (rng.uniform(0.5, 0.65), rng.uniform(0.3, 0.5)), 6)
        back = bend(blade[-1], (0.5, 0.8), (0.0, 0.85), 6)
        pen.polygon(np.concatenate([blade, back]) * (side, 1.0), leaf_paint)
    if chance(rng, 0.3):
        _tulip(pen, look, rng)
    else:
        radius = rng.uniform(0.54, 0.66)
        _blossom(pen, look, rng, 0.0, radius - 0.94, radius)


def _blossom(pen, look, rng, x, y, radius):
    petals, heart = int(rng.integers(5, 10)), rng.uniform(0.24, 0.4)
    width = rng.uniform(0.95, 1.25) * np.pi / petals * 0.62
    blunt = rng.uniform(0.6, 0.78)
    petal = np.array([(0.1, 0.0), (blunt, -width), (1.0, 0.0), (blunt, width)])
    turn = rng.uniform(0.0, 2 * np.pi)
    for i in range(petals):
        angle = turn + 2 * np.pi * i / petals
        paint = look.shade(0.8) if i % 2 and petals % 2 == 0 else look.main
        pen.curve(moved(petal, x, y, angle, radius), paint)
    pen.ellipse(x, y, heart * radius, heart * radius, look.detail)


def _tulip(pen, look, rng):
    wide, open_ = rng.uniform(0.36, 0.5), rng.uniform(0.9, 1.25)
    pen.polygon([(-0.28, -0.4), (0.0, -0.9), (0.28, -0.4)], look.shade(0.7))
    right = bend((0.0, -0.45), (0.15, -0.6), (wide * open_, -0.88), 4)
    bowl = bend((wide * open_, -0.88), (1.25 * wide, 0.15), (0.0, 0.12), 8)
    pen.polygon(mirrored(np.concatenate([right, bowl])), look.main)


def cactus(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A column with arms, a prickly pear of pads or a ribbed barrel; in a pot or not."""
    potted = chance(rng, 0.5)
    foot = 0.45 if potted else 0.9
    pick(rng, (_saguaro, _saguaro, _prickly_pear, _barrel))(pen, look, rng, foot)
    if potted:
        lip = rng.uniform(0.4, 0.5)
        pen.polygon(
            [(-lip, 0.42), (lip, 0.42), (0.75 * lip, 0.93), (-0.75 * lip, 0.93)], look.accent
        )
        pen.rectangle(-lip - 0.07, 0.36, lip + 0.07, 0.54, look.accent, radius=0.05)


def _saguaro(pen, look, rng, foot):
    half, top = rng.uniform(0.17, 0.25), rng.uniform(-0.92, -0.75)
    arms = pick(rng, ((-1,), (1,), (-1, 1), (-1, 1)))
    for side in arms:
        out, elbow = rng.uniform(0.52, 0.68), rng.uniform(-0.05, 0.2)
        path = [
            (0.0, elbow),
            (side * (out - 0.1), elbow),
            (side * out, elbow - 0.1),
            (side * out, elbow - rng.uniform(0.3, 0.6)),
        ]
        pen.line(path, rng.uniform(0.22, 0.28), look.main)
    pen.rectangle(-half, top, half, foot, look.main, radius=half)
    pen.rectangle(-half, 0.2, half, foot, look.main)
    for x in (-0.4 * half, 0.5 * half):
        pen.line([(x, top + 0.3), (x, foot - 0.1)], 0.1, relief(look))
    if chance(rng, 0.4):
        pen.ellipse(0.0, top + 0.05, 0.2, 0.13, look.detail)


def _prickly_pear(pen, look, rng, foot):
    size = (foot + 0.9) / 1.85
    tall, lean = rng.uniform(0.42, 0.48) * size, rng.uniform(0.45, 0.85)
    pads = [(0.0, foot - tall, 0.33 * size + 0.03, tall, 0.0)]
    for side in (-1, 1):
        y = foot - rng.uniform(1.5, 1.85) * tall
        pads.append((0.42 * side, y, 0.22, 0.3 + 0.06 * size, lean * side))
    if chance(rng, 0.6):
        pads.append((0.0, foot - 2.3 * tall, 0.24, 0.33 * size, rng.uniform(-0.3, 0.3)))
    for x, y, rx, ry, angle in pads[::-1]:
        pen.ellipse(x, y, rx, ry, look.main, angle)
        spots = moved(
            np.array([(0.0, -0.5), (-0.4, 0.05), (0.4, 0.05), (0.0, 0.5)]) * (rx, ry), x, y, angle
        )
        for spot in spots:
            pen.ellipse(*spot, 0.055, 0.055, look.light)
    if chance(rng, 0.5):
        for x, y, _, ry, angle in pads[1:]:
            pen.ellipse(x + ry * np.sin(angle), y - ry * np.cos(angle), 0.12, 0.12, look.detail)


def _barrel(pen, look, rng, foot):
    wide, high = rng.uniform(0.5, 0.7), rng.uniform(0.8, 1.0) * min(0.72, 0.41 * foot + 0.37)
    y = foot - high
    pen.ellipse(0.0, y, wide, high, look.main)
    for u in (-0.62, 0.0, 0.62):
        path = [(u * wide * np.cos(a), y + 0.85 * high * np.sin(a)) for a in (-1.1, -0.5, 0.1, 0.7)]
        pen.line(path, 0.1, relief(look))
    for angle in np.linspace(np.pi + 0.3, 2 * np.pi - 0.3, 7):
        out, up = wide * np.cos(angle), high * np.sin(angle)
        pen.line([(out, y + up), (1.16 * out, y + 1.16 * up)], 0.1, look.light)
    if chance(rng, 0.6):
        pen.ellipse(0.0, y - high, 0.22, 0.14, look.detail)


DRAW: dict[str, Callable[[Pen, Look, np.random.Generator], None]] = {
    "mushroom": mushroom,
    "tree": tree,
    "flower": flower,
    "cactus": cactus,
    "apple": apple,
    "leaf": leaf,
}
