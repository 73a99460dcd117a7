"""Things found outdoors: house, tent, umbrella, ladder, anchor.

Every function draws one object upright into [-1, 1]^2 and varies its proportions, number of parts
and sub-kind with ``rng``; pose, light and colours come from elsewhere (`renderer`, `Look`).
"""

from itertools import pairwise

import numpy as np

from fsslib.data.scenes.parts import arc_points, chance, hollow, mirrored, pick, relief
from fsslib.data.scenes.pen import Look, Pen


def house(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """One or two floors; gable, hip, barn, shed or flat roof; door, windows, perhaps a chimney."""
    floors = int(rng.integers(1, 3))
    half = rng.uniform(0.66, 0.82) - 0.12 * (floors == 2)
    eaves = rng.uniform(-0.25, -0.05) if floors == 1 else rng.uniform(-0.42, -0.28)
    ridge = max(eaves - rng.uniform(0.45, 0.65), -0.92)
    if chance(rng, 0.6):
        x = pick(rng, [-1, 1]) * rng.uniform(0.35, 0.6) * half
        pen.rectangle(x - 0.11, ridge - 0.02, x + 0.11, eaves, look.dark)
    out = half + rng.uniform(0.05, 0.12)
    roofs = {
        "gable": [(0, ridge), (out, eaves)],
        "hip": [(rng.uniform(0.3, 0.6) * half, ridge + 0.12), (out, eaves)],
        "barn": [(0, ridge), (0.68 * half, 0.65 * ridge + 0.35 * eaves), (out, eaves)],
        "flat": [(out, eaves - 0.24), (out, eaves)],
    }
    kind = pick(rng, [*roofs, "gable", "shed"])
    pen.rectangle(-half, eaves - 0.02, half, 0.9, look.main)
    if kind == "shed":
        pen.polygon(
            [(-out, ridge + 0.1), (-out, eaves), (out, eaves), (out, eaves - 0.2)], look.accent
        )
    else:
        pen.polygon(mirrored(roofs[kind]), look.accent)
    if kind in ("gable", "barn") and chance(rng, 0.35):
        pen.ellipse(0, 0.4 * ridge + 0.6 * eaves, 0.14, 0.14, look.light)
    _house_front(pen, look, rng, half, eaves, floors)


def _house_front(pen, look, rng, half, eaves, floors) -> None:
    """The door in one column of the ground floor, windows in the other columns and above."""
    columns = int(rng.integers(2, 4))
    cell, storey = 2 * half / columns, (0.9 - eaves) / floors
    wide, high = cell * rng.uniform(0.27, 0.34), min(0.3, storey * rng.uniform(0.24, 0.3))
    door = int(rng.integers(columns))
    for floor in range(floors):
        for column in range(columns):
            x, y = -half + (column + 0.5) * cell, eaves + (floor + 0.48) * storey
            if floor == floors - 1 and column == door:
                top = 0.9 - storey * rng.uniform(0.68, 0.8)
                pen.rectangle(x - 0.16, top, x + 0.16, 0.9, look.detail, radius=0.06)
            else:
                pen.rectangle(x - wide, y - high, x + wide, y + high, look.light)
                pen.rectangle(
                    x - wide + 0.06, y - high + 0.06, x + wide - 0.06, y + high - 0.06, look.dark
                )


def tent(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A ridge tent seen from the front or the side, a dome, or a tipi with its poles."""
    pick(rng, [_ridge_tent, _front_tent, _dome_tent, _tipi])(pen, look, rng)


def _ridge_tent(pen, look, rng) -> None:
    apex, right = rng.uniform(-0.5, -0.2), rng.uniform(0.0, 0.3)
    top, back = rng.uniform(-0.85, -0.5), rng.uniform(0.4, 0.7)
    side = [(apex, top), (back, top + 0.08), (0.95, 0.52), (right, 0.75)]
    pen.polygon(side, look.main)
    pen.polygon([(apex, top), (right, 0.75), (-0.95, 0.75)], relief(look))
    x = (right - 0.95) / 2
    pen.polygon([(apex, top + 0.35), (x + 0.26, 0.75), (x - 0.3, 0.75)], hollow(look))
    pen.line([(apex, top), (back, top + 0.08)], 0.1, look.accent)


def _front_tent(pen, look, rng) -> None:
    top, half, sag = rng.uniform(-0.8, -0.6), rng.uniform(0.82, 0.95), rng.uniform(0, 0.14)
    for side in (-1, 1):
        pen.line([(side * 0.12, top - 0.14), (-side * 0.2, top + 0.3)], 0.1, look.dark)
    pen.polygon(mirrored([(0, top), (half / 2 - sag, (top + 0.75) / 2), (half, 0.75)]), look.main)
    opening = rng.uniform(0.22, 0.42)
    pen.polygon(mirrored([(0, top + 0.3), (opening, 0.75)]), hollow(look))
    for side in (-1, 1):
        flap = [(0, top + 0.3), (side * opening * 0.5, 0.2), (side * (opening + 0.16), 0.68)]
        pen.polygon(flap, look.accent)


def _dome_tent(pen, look, rng) -> None:
    high, half = rng.uniform(1.1, 1.4), rng.uniform(0.88, 0.96)
    base = 0.65
    pen.polygon(arc_points(0, base, half, high, np.pi, 2 * np.pi, 20), look.main)
    seam = rng.uniform(0.3, 0.45)
    pen.polygon(arc_points(0, base, half * seam, high * 0.98, np.pi, 2 * np.pi, 16), look.accent)
    wide = half * seam * 0.75
    pen.polygon(
        arc_points(0, base, wide, high * rng.uniform(0.55, 0.72), np.pi, 2 * np.pi, 12),
        hollow(look),
    )
    pen.line([(-half, base), (half, base)], 0.12, look.shade(0.6))


def _tipi(pen, look, rng) -> None:
    half, top = rng.uniform(0.6, 0.78), rng.uniform(-0.65, -0.5)
    for x in np.linspace(-1, 1, int(rng.integers(2, 5))) * 0.28:
        pen.line([(x, -0.92), (-x * 0.6, top + 0.2)], 0.1, look.dark)
    pen.polygon(mirrored([(0.1, top), (half, 0.9)]), look.main)
    low, thick = rng.uniform(0.15, 0.35), rng.uniform(0.16, 0.26)
    edge = [(0.1 + (half - 0.1) * (y - top) / (0.9 - top), y) for y in (low, low + thick)]
    pen.polygon(mirrored(edge), look.accent)
    pen.polygon(
        mirrored([(0, rng.uniform(-0.05, 0.2)), (rng.uniform(0.18, 0.27), 0.9)]), hollow(look)
    )


def umbrella(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """An open canopy of three to seven panels, scalloped, on a stick with a crook or a knob."""
    half, rim = rng.uniform(0.84, 0.96), rng.uniform(-0.05, 0.12)
    high, scallop = rng.uniform(0.58, 0.82), rng.uniform(0.06, 0.16)
    hook, side = rng.uniform(0.15, 0.22), pick(rng, [-1, 1])
    foot = 0.9 - hook
    pen.line([(0, rim - high - 0.06), (0, foot)], 0.11, look.dark)
    if chance(rng, 0.75):
        pen.arc(side * hook, foot, hook, 0, np.pi, 0.13, look.detail)
    else:
        pen.line([(0, foot - 0.15), (0, foot + 0.1)], 0.2, look.detail)
    count = pick(rng, [3, 5, 7])
    other = look.accent if chance(rng, 0.4) else look.shade(rng.uniform(0.7, 0.85))
    edges = np.linspace(-1, 1, count + 1) * half
    down = np.linspace(0, np.pi / 2, 8)
    for index, (left, right) in enumerate(pairwise(edges)):
        fall = rim - high * np.cos(down)
        meridians = [np.stack([x * np.sin(down), fall], axis=1) for x in (left, right)]
        hem = np.linspace(0, np.pi, 6)[1:-1]
        arch = np.stack([left + (right - left) * hem / np.pi, rim - scallop * np.sin(hem)], axis=1)
        panel = np.concatenate([meridians[0], arch, meridians[1][::-1]])
        pen.polygon(panel, look.main if index % 2 == 0 else other)


def ladder(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A straight, tapered or folding ladder with three to six rungs."""
    low, rungs = rng.uniform(0.36, 0.56), int(rng.integers(3, 7))
    high = low * rng.uniform(0.55, 1.0)
    rail, rung = rng.uniform(0.14, 0.2), rng.uniform(0.11, 0.15)
    folding = chance(rng, 0.35)
    top, shift = (-0.78, -0.25) if folding else (-0.86, 0.0)
    if folding:
        high, rungs = low * rng.uniform(0.45, 0.65), min(rungs, 4)
        for x in (-high, high):
            pen.line([(x + shift, top), (x * 1.3 + shift + 0.62, 0.82)], 0.12, look.shade(0.5))
    paint = look.accent if rungs < 6 and chance(rng, 0.5) else look.shade(0.8)
    for y in np.linspace(top + 0.25, 0.66, rungs):
        x = high + (low - high) * (y - top) / (0.86 - top)
        pen.line([(shift - x, y), (shift + x, y)], rung, paint)
    for side in (-1, 1):
        pen.line([(side * high + shift, top), (side * low + shift, 0.86)], rail, look.main)
    if folding:
        pen.rectangle(
            shift - high - 0.14, top - 0.12, shift + high + 0.14, top + 0.12, look.main, radius=0.06
        )


def anchor(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A ring, a shank, a stock and two curved arms with flukes; perhaps a rope around it."""
    radius, depth = rng.uniform(0.52, 0.78), rng.uniform(0.5, 0.95)
    shank, ring = rng.uniform(0.17, 0.25), rng.uniform(0.14, 0.2)
    pen.arc(
        0, -0.9 + ring, ring, 0, 2 * np.pi, 0.12, look.detail if chance(rng, 0.3) else look.main
    )
    pen.line([(0, -0.88 + 2 * ring), (0, 0.78)], shank, look.main)
    spread = rng.uniform(0.05, 0.16) * np.pi
    arms = arc_points(0, 0.8 - depth, radius, depth, spread, np.pi - spread, 17)
    pen.line(arms, shank, look.main)
    size, barb = rng.uniform(0.24, 0.32), pick(rng, [0.35, 1.0])
    for end, inner, side in ((arms[0], arms[2], -1), (arms[-1], arms[-3], 1)):
        along = (end - inner) / np.linalg.norm(end - inner)
        inward = np.array([-along[1], along[0]]) * size * side
        pen.polygon([end + along * size, end + inward, end - barb * inward], look.main)
    stock, y = rng.uniform(0.36, 0.56), rng.uniform(-0.4, -0.28)
    pen.line([(-stock, y), (stock, y)], rng.uniform(0.14, 0.2), look.main)
    if chance(rng, 0.5):
        for side in (-1, 1):
            pen.ellipse(side * stock, y, 0.13, 0.13, look.shade(0.8))
    if chance(rng, 0.4):
        y = np.linspace(-0.75, 0.6, 16)
        wave = rng.uniform(0.16, 0.24) * np.sin(y * rng.uniform(5, 7))
        pen.line(np.stack([wave, y], axis=1), 0.1, look.accent)


DRAW = {"house": house, "tent": tent, "umbrella": umbrella, "ladder": ladder, "anchor": anchor}
