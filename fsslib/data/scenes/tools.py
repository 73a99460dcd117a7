"""Things for working and seeing: hammer, scissors, glasses, pencil.

Every function draws one object upright into [-1, 1]^2 (y down) and varies its proportions, number
of parts and sub-kind with ``rng``; pose, light and colours come from elsewhere.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, chance, glass, hollow, mirrored, moved, pick
from fsslib.data.scenes.pen import Look, Paint, Pen

WOOD = Paint((222, 184, 135))


def hammer(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A claw hammer, a ball-peen hammer or a mallet; grip or plain handle."""
    handle, kind = rng.uniform(0.11, 0.16), pick(rng, ["claw", "claw", "ball", "mallet", "mallet"])
    bulge, y = rng.uniform(0.0, 0.06), -0.58
    stick = pick(rng, [look.accent, look.dark, WOOD])
    pen.polygon(mirrored([(handle * 0.8, -0.92), (handle, 0.2), (handle + bulge, 0.9)]), stick)
    if chance(rng, 0.6):
        half = handle + bulge + 0.03
        pen.rectangle(-half, rng.uniform(0.1, 0.4), half, 0.94, look.detail, radius=0.1)
    if kind == "mallet":
        half, high = rng.uniform(0.56, 0.82), rng.uniform(0.28, 0.36)
        pen.rectangle(-half, y - high, half, y + high, look.main, radius=rng.uniform(0.03, 0.22))
        for side in (-1, 1) if chance(rng, 0.5) else ():
            pen.rectangle(side * half, y - high, side * (half - 0.18), y + high, look.shade(0.65))
        return
    end, high = rng.uniform(0.6, 0.8), rng.uniform(0.22, 0.28)
    pen.rectangle(-0.3, y - high * 0.85, end, y + high * 0.85, look.main)
    poll = end - rng.uniform(0.18, 0.28)
    pen.rectangle(poll, y - high * 1.3, end, y + high * 1.3, look.shade(0.7), radius=0.05)
    if kind == "ball":
        pen.ellipse(-0.5, y, 0.32, high * 1.15, look.main)
    else:
        claw = [(-0.55, y - high * 0.75), (-0.92, y + rng.uniform(0.1, 0.45)), (-0.55, y + 0.12)]
        pen.polygon([(-0.2, y - high * 0.85), *claw, (-0.2, y + high * 0.85)], look.main)


def scissors(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Two blades that cross below the middle, open or nearly shut, and two finger rings."""
    opening, pivot = rng.uniform(0.16, 0.42), rng.uniform(0.0, 0.2)
    wide, blunt = rng.uniform(0.11, 0.16), chance(rng, 0.3)
    metal = pick(rng, [look.light, look.dark])
    length = (0.93 + pivot) / np.cos(opening * 0.75)
    ring, stretch = rng.uniform(0.22, 0.27), rng.uniform(1.0, 1.3)
    thick, apart = rng.uniform(0.15, 0.19), ring + rng.uniform(0.1, 0.16)
    for side in (-1, 1):
        inner, outer = -side * wide, side * wide
        tip = (side * -0.09, -length) if blunt else (outer, -length)
        blade = [(outer, 0.12), (outer, -length * 0.6), tip, (inner, -length * 0.4), (inner, 0.12)]
        pen.polygon(moved(blade, 0, pivot, side * opening), metal)
        arm = moved([(0, 0.05), (0, 0.25)], 0, pivot, side * opening)
        x, y = -side * apart, 0.92 - thick / 2 - ring * stretch
        pen.line([*arm, (x + side * ring * 0.5, y - ring * 0.9)], 0.17, look.main)
        loop = arc_points(0, 0, ring, ring * stretch, count=19)[:-1]
        pen.line(moved(loop, x, y, side * 0.3), thick, look.main, closed=True)
    pen.ellipse(0, pivot, 0.11, 0.11, look.detail)


def glasses(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Round, square, cat-eye or aviator lenses; tinted in a thin frame, or pale in a thick one."""
    half = rng.uniform(0.33, 0.37)
    centre = half + rng.uniform(0.1, 0.16)
    frame, lens, rim = pick(rng, [look.dark, look.accent]), look.main, 0.02
    if chance(rng, 0.5):
        frame, lens, rim = look.main, pick(rng, [glass(look), hollow(look)]), 0.13
    outline, brow, ear_height = _lens(rng, half)
    lower = rng.uniform(-0.15, 0.1)
    pen.line([(half - centre, lower), (0, lower - 0.07), (centre - half, lower)], 0.13, frame)
    if brow is not None:
        pen.line([(-centre, brow), (centre, brow)], 0.12, frame)
    for side in (-1, 1):
        ear = side * (centre + half * 0.95)
        pen.line([(ear, ear_height), (ear + side * 0.04, ear_height)], 0.16, frame)
        points = moved(outline * (side, 1), side * centre, 0)
        pen.line(points, 0.1, frame, closed=True)
        pen.polygon(points, frame)
        pen.polygon(moved(outline * (side, 1), side * centre, 0, scale=1 - rim / half), lens)
        if chance(rng, 0.8):
            glint = look.shade(1.8) if lens is look.main else look.accent
            pen.line([(side * centre - 0.1, 0.05), (side * centre + 0.04, -0.1)], 0.1, glint)


def _lens(rng, half):
    """Outline of the right lens around (0, 0), height of a brow bar (or None) and of the ears."""
    high = rng.uniform(0.25, 0.38)
    kind = pick(rng, ["round", "square", "cat", "aviator"])
    if kind == "round":
        return arc_points(0, 0, half, half * rng.uniform(0.9, 1.1), 0, 6, 20), None, 0.0
    if kind == "square":
        points = [(-1, -1), (1, -1), (rng.uniform(0.8, 1), 1), (-rng.uniform(0.8, 1), 1)]
    elif kind == "cat":
        points = [(-1, -0.7), (1.12, -1.25), (0.85, 0.6), (0, 0.95), (-0.8, 0.6)]
    else:
        points = [(-1, -0.9), (1, -0.9), (0.9, 0.5), (0.1, 1.2), (-0.6, 0.8)]
    return np.array(points) * (half, high), -0.9 * high if kind == "aviator" else None, -0.6 * high


def pencil(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Point up or down, long or stubby; with ferrule and rubber, plain, or a wax crayon."""
    half, tip = rng.uniform(0.2, 0.34), rng.uniform(0.35, 0.6)
    flip, lead = pick(rng, [-1, 1]), rng.uniform(0.3, 0.5)
    kind = pick(rng, ["rubber", "rubber", "plain", "crayon"])
    shoulder = -0.95 + tip

    def put(points, paint):
        pen.polygon(mirrored(points) * (1, flip), paint)

    put([(half, shoulder), (half, 0.95)], look.main)
    if kind == "crayon":
        put([(half * 0.3, -0.95), (half * 0.75, shoulder)], look.shade(0.8))
        for y in (shoulder + 0.12, 0.78):
            put([(half, y - 0.06), (half, y + 0.06)], look.dark)
        put([(half * 0.6, -0.05), (half * 0.6, 0.3)], look.accent)
        return
    put([(0, -0.95), (half, shoulder)], WOOD)
    put([(0, -0.95), (half * lead, -0.95 + tip * lead)], look.dark)
    if chance(rng, 0.7):
        edge = half * rng.uniform(0.3, 0.45)
        put([(edge, shoulder), (edge, 0.95)], look.shade(1.5))
    if kind == "rubber":
        top = 0.95 - rng.uniform(0.2, 0.3)
        put([(half + 0.02, top), (half + 0.02, 0.95)], look.detail)
        put([(half + 0.02, top - 0.18), (half + 0.02, top)], look.light)
    elif chance(rng, 0.6):
        put([(half, 0.95 - rng.uniform(0.15, 0.4)), (half, 0.95)], look.accent)


DRAW = {"hammer": hammer, "scissors": scissors, "glasses": glasses, "pencil": pencil}
