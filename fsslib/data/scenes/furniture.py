"""Things that furnish a room: clock, chair, lamp.

Every function draws one object upright into [-1, 1]^2 (y down) and varies its proportions, number
of parts and sub-kind with ``rng``; pose, light and colours come from elsewhere.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, chance, glass, mirrored, pick, star_points
from fsslib.data.scenes.pen import Look, Pen


def clock(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Wall clock (round, square, sunburst), alarm clock with bells, or mantel clock; any time."""
    kind = pick(rng, ["round", "square", "alarm", "alarm", "mantel", "burst"])
    size, y = rng.uniform(0.84, 0.93), 0.0
    if kind == "round":
        pen.ellipse(0, 0, size, size, look.main)
    elif kind == "square":
        pen.rectangle(-size, -size, size, size, look.main, radius=rng.uniform(0.05, 0.4))
    elif kind == "alarm":
        size, y = rng.uniform(0.68, 0.74), 0.12
        _alarm_parts(pen, look, rng, size, y)
        pen.ellipse(0, y, size, size, look.main)
    elif kind == "mantel":
        size, y = rng.uniform(0.66, 0.74), -0.2
        shoulder = arc_points(0, y, size, size, -np.pi / 2, 0, 8)
        pen.polygon(mirrored([*shoulder, (size, 0.75)]), look.main)
        pen.rectangle(-size - 0.16, 0.68, size + 0.16, 0.9, look.accent)
    else:
        pen.polygon(star_points(int(rng.integers(10, 15)), 0.95, 0.72), look.main)
        size = 0.78
    _dial(pen, look, rng, y, size * rng.uniform(0.6, 0.7))


def _alarm_parts(pen, look, rng, size, y) -> None:
    """Two bells on top, two feet, sometimes a handle between the bells."""
    if chance(rng, 0.5):
        pen.arc(0, y - size, 0.24, np.pi, 2 * np.pi, 0.1, look.dark)
    for side in (-1, 1):
        pen.line([(side * 0.35, y + 0.5), (side * 0.58, 0.86)], 0.16, look.dark)
        pen.ellipse(side * 0.52, y - size * 0.92, 0.34, 0.26, look.accent, angle=side * 0.6)


def _dial(pen, look, rng, y, radius) -> None:
    """A face with no, four or eight hour marks, and two hands."""
    face = glass(look)
    hand = look.dark if face is look.light else look.light
    pen.ellipse(0, y, radius, radius, face)
    marks = pick(rng, [0, 4, 4, 8])
    for angle in np.arange(marks) * 2 * np.pi / max(marks, 1):
        x, down = 0.82 * radius * np.cos(angle), 0.82 * radius * np.sin(angle)
        pen.ellipse(x, y + down, 0.06, 0.06, look.detail)
    for length, width in ((0.5, 0.14), (0.74, 0.1)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = length * radius * np.array([np.cos(angle), np.sin(angle)])
        pen.line([(0, y), (tip[0], y + tip[1])], width, hand)
    pen.ellipse(0, y, 0.09, 0.09, look.detail)


def chair(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Seen from the side, from the front, or an armchair."""
    pick(rng, [_side_chair, _side_chair, _front_chair, _front_chair, _armchair])(pen, look, rng)


def _side_chair(pen, look, rng) -> None:
    seat, lean = rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.2)
    wide, leg = rng.uniform(0.5, 0.62), rng.uniform(0.15, 0.2)
    thick = rng.uniform(0.24, 0.32)
    splay = rng.uniform(0.0, 0.14)
    for x, foot in ((-wide + 0.08, -wide + 0.08 - splay), (wide - 0.08, wide - 0.08 + splay)):
        pen.line([(x, seat), (foot, 0.84)], leg, look.dark)
    if chance(rng, 0.4):
        pen.line([(-wide + 0.08, 0.55), (wide - 0.08, 0.55)], 0.11, look.dark)
    pen.line([(-wide + 0.1, seat), (-wide - lean + 0.05, -0.8)], thick, look.main)
    pen.line([(-wide + 0.1, seat), (wide - 0.05, seat)], thick, look.main)
    if chance(rng, 0.5):
        pen.line([(-wide + 0.35, seat - 0.16), (wide - 0.1, seat - 0.16)], 0.18, look.accent)
    if chance(rng, 0.35):
        y = seat - rng.uniform(0.4, 0.5)
        pen.line([(-wide, y), (wide * 0.45, y), (wide * 0.45, seat)], 0.12, look.shade(0.7))


def _front_chair(pen, look, rng) -> None:
    seat, half = rng.uniform(0.05, 0.2), rng.uniform(0.52, 0.64)
    back = half * rng.uniform(0.78, 0.95)
    for side in (-1, 1):
        pen.line([(side * back * 0.75, seat), (side * back * 0.75, 0.7)], 0.13, look.shade(0.5))
        pen.line([(side * half * 0.88, seat), (side * half * 0.94, 0.84)], 0.17, look.shade(0.75))
    style = pick(rng, ["slats", "bars", "panel", "round"])
    if style == "panel":
        pen.rectangle(-back, -0.92, back, seat - 0.05, look.main, radius=rng.uniform(0.05, 0.3))
    elif style == "round":
        pen.ellipse(0, -0.4, back, 0.52, look.main)
        pen.ellipse(0, -0.42, back * 0.6, 0.3, look.accent)
    else:
        for side in (-1, 1):
            pen.line([(side * (back - 0.09), -0.82), (side * (back - 0.09), seat)], 0.18, look.main)
        if style == "slats":
            for y in np.linspace(-0.76, -0.18, int(rng.integers(2, 4))):
                pen.line([(-back + 0.1, y), (back - 0.1, y)], 0.19, look.main)
        else:
            pen.line([(-back + 0.1, -0.78), (back - 0.1, -0.78)], 0.24, look.main)
            for x in np.linspace(-0.4, 0.4, int(rng.integers(2, 4))) * back:
                pen.line([(x, -0.7), (x, seat)], 0.12, look.main)
    front = [(half * 0.84, seat - 0.16), (half + 0.08, seat + 0.16), (half + 0.08, seat + 0.28)]
    pen.polygon(mirrored(front), look.main)
    pen.polygon(mirrored([(half * 0.72, seat - 0.1), (half * 0.85, seat + 0.1)]), look.accent)


def _armchair(pen, look, rng) -> None:
    half, top = rng.uniform(0.56, 0.66), rng.uniform(-0.9, -0.7)
    for side in (-1, 1):
        pen.line([(side * half, 0.7), (side * half, 0.84)], 0.16, look.dark)
    pen.rectangle(-half, top, half, 0.7, look.main, radius=rng.uniform(0.15, 0.4))
    pen.rectangle(-half + 0.1, 0.05, half - 0.1, 0.4, look.accent, radius=0.12)
    arm = rng.uniform(-0.22, -0.02)
    for side in (-1, 1):
        x = side * (half + 0.06)
        pen.rectangle(x - 0.19, arm, x + 0.19, 0.72, look.shade(0.75), radius=0.18)


def lamp(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Table lamp, floor lamp, jointed desk lamp, or a lamp hanging from the ceiling."""
    pick(rng, [_standing_lamp, _standing_lamp, _desk_lamp, _hanging_lamp])(pen, look, rng)


def _standing_lamp(pen, look, rng) -> None:
    """A shade on a stem (tall for a floor lamp) or on a bellied vase."""
    low, high = rng.uniform(0.58, 0.76), rng.uniform(0.26, 0.58)
    hem = rng.uniform(-0.25, 0.1)
    pen.line([(0, hem), (0, 0.8)], rng.uniform(0.12, 0.16), look.dark)
    if chance(rng, 0.5):
        belly = rng.uniform(0.22, 0.32)
        pen.ellipse(0, 0.52, belly, 0.33, look.accent)
    foot = rng.uniform(0.34, 0.5)
    pen.rectangle(-foot, 0.76, foot, 0.92, look.dark, radius=0.06)
    pen.polygon(mirrored([(high, -0.92), (low, hem)]), look.main)
    if chance(rng, 0.5):
        pen.line([(-low + 0.06, hem - 0.04), (low - 0.06, hem - 0.04)], 0.12, look.accent)


def _desk_lamp(pen, look, rng) -> None:
    """A base, two arms with a joint, and a slanting hood with its bulb."""
    elbow = (rng.uniform(-0.75, -0.55), rng.uniform(-0.15, 0.1))
    head = np.array([rng.uniform(-0.05, 0.1), rng.uniform(-0.68, -0.55)])
    pen.line([(-0.15, 0.8), elbow, head], 0.15, look.dark)
    pen.ellipse(*elbow, 0.13, 0.13, look.detail)
    pen.rectangle(-0.6, 0.7, rng.uniform(0.25, 0.4), 0.9, look.shade(0.75), radius=0.1)
    hood = np.array([(-0.28, -0.05), (0.05, -0.28), (0.85, 0.12), (0.25, 0.75)])
    pen.ellipse(head[0] + 0.5, head[1] + 0.4, 0.22, 0.22, look.light)
    pen.polygon(hood * rng.uniform(0.9, 1.05) + head, look.main)


def _hanging_lamp(pen, look, rng) -> None:
    """A cord, a domed or conical shade, and the bulb below it."""
    low, cord = rng.uniform(0.74, 0.92), rng.uniform(-0.45, -0.3)
    hem = rng.uniform(0.35, 0.5)
    pen.line([(0, -0.9), (0, cord + 0.1)], 0.12, look.dark)
    pen.ellipse(0, hem + 0.05, 0.26, 0.3, look.light)
    if chance(rng, 0.5):
        shade = arc_points(0, hem, low, hem - cord, -np.pi / 2 + 0.2, 0, 10)
    else:
        shade = [(0.2, cord), (0.28, cord + 0.2), (low, hem)]
    pen.polygon(mirrored(shade), look.main)
    pen.rectangle(-0.19, cord - 0.1, 0.19, cord + 0.1, look.accent, radius=0.05)


DRAW = {"clock": clock, "chair": chair, "lamp": lamp}
