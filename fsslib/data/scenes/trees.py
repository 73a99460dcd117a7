"""Scenes-10i classes: tree, apple, leaf.

Every function draws one object upright into [-1, 1]^2 (y down) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, bend, chance, mirrored, moved, pick, relief
from fsslib.data.scenes.pen import Look, Pen


def tree(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A conifer of two to four tiers, a lobed or spreading crown, or a palm."""
    pick(rng, (_conifer, _leafy_tree, _leafy_tree, _spreading_tree, _palm))(pen, look, rng)


def _conifer(pen, look, rng):
    tiers, wide, low = int(rng.integers(2, 5)), rng.uniform(0.5, 0.78), rng.uniform(0.45, 0.66)
    pen.rectangle(-0.13, low - 0.1, 0.13, 0.92, look.dark)
    edges = np.linspace(-0.94, low, tiers + 1)
    for i in range(tiers, 0, -1):
        top = edges[i - 1] - (0.0 if i == 1 else 0.55 * (edges[1] - edges[0]))
        half = wide * (0.5 + 0.5 * i / tiers)
        pen.polygon(
            [(0.0, top), (half, edges[i]), (-half, edges[i])],
            look.main if (tiers - i) % 2 == 0 else look.shade(0.82),
        )
    if chance(rng, 0.4):
        for x, y in ((-0.15, low - 0.12), (0.2, low - 0.2), (0.0, low - 0.6)):
            pen.ellipse(x, y, 0.08, 0.08, look.detail)


def _leafy_tree(pen, look, rng):
    wide, low, trunk = rng.uniform(0.5, 0.8), rng.uniform(0.15, 0.4), rng.uniform(0.1, 0.17)
    pen.polygon(
        [
            (-trunk, 0.0),
            (trunk, 0.0),
            (trunk, 0.7),
            (2 * trunk, 0.93),
            (-2 * trunk, 0.93),
            (-trunk, 0.7),
        ],
        look.dark,
    )
    middle, high = (low - 0.93) / 2, (low + 0.93) / 2
    lobes, turn = int(rng.integers(5, 10)), rng.uniform(0.0, 2 * np.pi)
    for x, y in arc_points(0.0, middle, 0.66 * wide, 0.62 * high, turn, turn + 2 * np.pi, lobes):
        swell = rng.uniform(0.3, 0.4)
        pen.ellipse(x, y, swell * wide + 0.04, swell * high, look.main)
    pen.ellipse(0.0, middle, 0.75 * wide, 0.75 * high, look.main)
    for x, y, size in ((-0.3, -0.3, 0.3), (0.35, 0.05, 0.24), (-0.2, 0.4, 0.2)):
        pen.ellipse(x * wide, middle + y * high, size * wide, 0.8 * size * high, look.shade(1.3))
    if chance(rng, 0.4):
        for x, y in arc_points(0.0, middle, 0.6 * wide, 0.6 * high, 0.5, 5.5, 5):
            pen.ellipse(x, y, 0.1, 0.1, look.detail)


def _spreading_tree(pen, look, rng):
    fork, trunk = rng.uniform(0.1, 0.35), rng.uniform(0.16, 0.24)
    pen.line([(0.0, 0.84), (0.0, fork)], trunk, look.dark)
    heights = rng.uniform((-0.45, -0.7, -0.5), (-0.15, -0.55, -0.25))
    wide, thick = rng.uniform(0.4, 0.5), rng.uniform(0.2, 0.28)
    tips = list(zip((-0.48, rng.uniform(-0.15, 0.15), 0.48), heights, strict=True))
    for x, y in tips:
        pen.line([(0.0, fork + 0.1), (0.7 * x, y + 0.2), (x, y)], 0.13, look.dark)
    for x, y in tips:
        pen.ellipse(x, y, wide, thick, look.main)
        pen.ellipse(x + 0.05, y - 0.45 * thick, 0.65 * wide, 0.7 * thick, look.main)
        pen.ellipse(x - 0.12, y - 0.3 * thick, 0.45 * wide, 0.35 * thick, look.shade(1.3))


def _palm(pen, look, rng):
    lean, crown = rng.uniform(-0.2, 0.2), rng.uniform(-0.5, -0.4)
    trunk = bend((-lean, 0.84), (-lean, 0.2), (lean, crown))
    pen.line(trunk, rng.uniform(0.17, 0.24), look.dark)
    count, reach, droop = pick(rng, (4, 6, 8)), rng.uniform(0.66, 0.72), rng.uniform(0.3, 0.5)
    for angle in np.linspace(-np.pi - 0.5, 0.5, count):
        x, y = reach * np.cos(angle), 0.42 * np.sin(angle)
        tip = (x * 1.02, y + droop * abs(x))
        upper = bend((0.0, -0.12), (0.75 * x, y - 0.3), tip, 7)
        lower = bend(tip, (0.6 * x, y + 0.1), (0.0, 0.2), 6)
        pen.polygon(moved(np.concatenate([upper, lower]), lean, crown), look.main)
    for x in (-0.1, 0.1):
        pen.ellipse(lean + x, crown + 0.16, 0.11, 0.11, look.detail)


def apple(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A whole, bitten or halved apple with stem and none to two leaves."""
    wide, dent, low = rng.uniform(0.7, 0.92), rng.uniform(0.06, 0.2), rng.uniform(0.45, 0.75)
    top = rng.uniform(-0.58, -0.45)
    bow = rng.uniform(-0.2, 0.25)
    for side in (-1, 1)[: int(rng.integers(0, 3))]:
        blade = [(0.0, 0.0), (0.3, -0.16), (0.62, -0.08), (0.32, 0.1)]
        turn = rng.uniform(-0.35, 0.1)
        pen.curve(moved(blade, 0.04, -0.66, turn) * (side, 1.0), look.accent)
    right = [
        (0.0, top + dent),
        (0.38 * wide, top - 0.04),
        (0.85 * wide, top + 0.2),
        (wide, 0.1),
        (low * wide, 0.72),
        (0.25 * wide, 0.92),
        (0.0, 0.92 - 0.6 * dent),
    ]
    outline = mirrored(right[:-1]) if chance(rng, 0.3) else mirrored(right)
    pen.curve(outline, look.main)
    kind = pick(rng, ("whole", "whole", "bitten", "half"))
    if kind == "bitten":
        y, side = rng.uniform(-0.1, 0.3), pick(rng, (-1, 1))
        for step in (-0.22, 0.18):
            pen.ellipse(side * (wide - 0.02), y + step, 0.36, 0.25, None)
    if kind == "half":
        pen.curve(outline * 0.68 + (0.0, 0.06), look.light)
        for side in (-1, 1):
            pen.ellipse(0.15 * side, 0.2, 0.09, 0.17, look.dark, 0.3 * side)
    else:
        pen.ellipse(-0.42 * wide, -0.12, 0.12, 0.24, look.shade(2.2), 0.35)
    pen.line(bend((0.0, top + dent + 0.08), (0.0, -0.65), (bow, -0.88)), 0.12, look.dark)


def leaf(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """An oval, maple, oak or feathered leaf with its veins and stalk."""
    pick(rng, (_oval_leaf, _maple_leaf, _oak_leaf, _feather_leaf))(pen, look, rng)


def _veins(pen, paint, rng, pairs):
    pen.line([(0.0, -0.5), (0.0, 0.4)], 0.1, paint)
    pen.line(bend((0.0, 0.4), (0.0, 0.7), (rng.uniform(-0.3, 0.3), 0.88), 6), 0.12, paint)
    for y, reach in pairs:
        for side in (-1, 1):
            pen.line([(0.0, y), (side * reach, y - 0.7 * reach)], 0.1, paint)


def _oval_leaf(pen, look, rng):
    wide, belly = rng.uniform(0.38, 0.7), rng.uniform(-0.25, 0.3)
    right = np.concatenate(
        [
            bend((0.0, -0.94), (0.75 * wide, -0.5), (wide, belly), 7),
            bend((wide, belly), (0.95 * wide, 0.55), (0.0, 0.66), 7),
        ]
    )
    if chance(rng, 0.4):
        right[1:-1:2] *= (0.86, 1.0)
    pen.polygon(mirrored(right), look.main)
    count = int(rng.integers(2, 4))
    _veins(pen, relief(look), rng, [(y, 0.55 * wide) for y in np.linspace(-0.15, 0.45, count)])


def _maple_leaf(pen, look, rng):
    out, top, cut = rng.uniform(0.8, 0.94), rng.uniform(0.22, 0.32), rng.uniform(0.24, 0.36)
    right = [
        (0.0, -0.94),
        (0.12, -0.62),
        (top, -0.66),
        (cut, -0.3),
        (0.62, -0.58),
        (0.68, -0.36),
        (out, -0.3),
        (0.66, -0.02),
        (0.72, 0.12),
        (0.36, 0.26),
        (0.44, 0.46),
        (0.0, 0.42),
    ]
    pen.polygon(mirrored(right), look.main)
    _veins(pen, relief(look), rng, [(0.32, 0.4), (0.1, 0.46)])


def _oak_leaf(pen, look, rng):
    lobes, wide, cut = int(rng.integers(3, 5)), rng.uniform(0.55, 0.75), rng.uniform(0.35, 0.55)
    along = np.linspace(0.0, 1.0, 6 * lobes + 1)
    wave = 1 - cut + cut * np.sqrt(np.abs(np.sin(np.pi * lobes * along)))
    swell = wide * np.sin(np.pi * np.clip(along, 0.1, 0.95)) ** 0.6 * (0.7 + 0.3 * along)
    right = np.stack([wave * swell, 1.6 * along - 0.94], axis=1)
    pen.polygon(mirrored(right), look.main)
    levels = 1.6 * (np.arange(1, lobes) + 0.4) / lobes - 0.9
    _veins(pen, relief(look), rng, [(y, 0.5 * wide) for y in levels])


def _feather_leaf(pen, look, rng):
    pairs, wide = int(rng.integers(3, 5)), rng.uniform(0.13, 0.18)
    pen.line([(0.0, -0.5), (0.0, 0.88)], 0.12, look.dark)
    lift = rng.uniform(0.3, 0.7)
    for i, y in enumerate(np.linspace(-0.3, 0.55, pairs)):
        reach = 0.27 + 0.07 * np.sin(np.pi * (i + 0.5) / pairs)
        for side in (-1, 1):
            x = side * (reach + 0.05)
            pen.ellipse(x, y - 0.5 * lift * reach, reach, wide, look.main, -0.7 * lift * side)
    pen.ellipse(0.0, -0.64, wide * 1.15, 0.3, look.main)
