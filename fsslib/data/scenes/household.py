"""Small things of the house: mug, bottle, bell, key, envelope.

Every function draws one object upright into [-1, 1]^2 (y down) and varies its proportions, number
of parts and sub-kind with ``rng``; pose, light and colours come from elsewhere.
"""

import numpy as np

from fsslib.data.scenes.parts import (
    arc_points,
    chance,
    face,
    glass,
    heart_points,
    hollow,
    mirrored,
    moved,
    pick,
    relief,
)
from fsslib.data.scenes.pen import Look, Pen

_ZIGZAG = np.linspace(-0.85, 0.85, 7)


def mug(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Straight, tapered or bellied with an ear, or a cup on a saucer; perhaps with a motif."""
    top, foot = rng.uniform(0.52, 0.66), rng.uniform(0.42, 0.64)
    belly, high = rng.uniform(-0.08, 0.12), rng.uniform(0.6, 0.82)
    if chance(rng, 0.25):  # a low cup on a saucer
        foot, belly, high = rng.uniform(0.26, 0.36), rng.uniform(0.12, 0.2), rng.uniform(0.46, 0.54)
        pen.ellipse(-0.1, high, 0.8, 0.2, look.accent)
    shift, ear = -0.24, rng.uniform(0.26, 0.34)
    pen.arc(
        shift + (top + foot) / 2 + belly + 0.06,
        rng.uniform(-0.05, 0.08),
        ear,
        -1.7,
        1.7,
        rng.uniform(0.14, 0.2),
        look.main if chance(rng, 0.7) else look.shade(0.7),
    )
    side = np.linspace(0, 1, 9)
    half = top + (foot - top) * side + belly * np.sin(np.pi * side)
    wall = np.stack([half, -high + 2 * high * side], axis=1)
    base = arc_points(0, high, foot, 0.1, 0.3, np.pi / 2, 5)
    pen.polygon(moved(mirrored([*wall, *base]), shift, 0), look.main)
    rim = rng.uniform(0.12, 0.17)
    pen.ellipse(shift, -high, top, rim, look.shade(1.6))
    pen.ellipse(shift, -high + 0.02, top - 0.1, rim - 0.05, pick(rng, [hollow(look), glass(look)]))
    motif = pick(rng, ["none", "band", "chevron", "dot", "face", "bars"])
    if motif == "band":
        y, thick = rng.uniform(0.0, 0.3), rng.uniform(0.08, 0.2)
        band = np.interp([y - thick, y + thick], wall[:, 1], wall[:, 0])
        stripe = mirrored([(band[0], y - thick), (band[1], y + thick)])
        pen.polygon(moved(stripe, shift, 0), look.accent)
    elif motif == "chevron":
        wide = np.interp(0.05, wall[:, 1], wall[:, 0])
        zigzag = [(shift + x * wide, 0.05 + 0.1 * (-1) ** i) for i, x in enumerate(_ZIGZAG)]
        pen.line(zigzag, 0.14, look.accent)
    elif motif == "dot":
        pen.ellipse(shift, 0.14, 0.24, 0.24, look.accent)
    elif motif == "bars":
        for x in np.array([-0.5, 0.0, 0.5]) * foot + shift:
            pen.line([(x, -0.45 * high), (x, 0.7 * high)], 0.13, look.accent)
    elif motif == "face":
        face(pen, look.detail, shift, 0.12, 0.62, rng)


def bottle(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Wine, milk or beer bottle, waisted soda bottle or round flask; cap, label, glint."""
    body, neck = rng.uniform(0.34, 0.54), rng.uniform(0.13, 0.24)
    shoulder, slope = rng.uniform(-0.5, -0.15), rng.uniform(0.12, 0.4)
    y = np.linspace(0, 1, 8)
    curve = body + (neck - body) * (0.5 + 0.5 * np.cos(np.pi * y))
    outline = [(neck, -0.8), *np.stack([curve, shoulder + slope * y], axis=1)]
    kind = pick(rng, ["straight", "straight", "waist", "flask"])
    if kind == "waist":
        down = np.linspace(0, 1, 9)
        half = body * (1 - rng.uniform(0.2, 0.32) * np.sin(np.pi * down) ** 2)
        foot = shoulder + slope
        outline += [*np.stack([half, foot + (0.9 - foot) * down], axis=1)]
    elif kind == "flask":
        body = rng.uniform(0.52, 0.62)
        bulb = arc_points(0, 0.9 - body, body, body, np.arcsin(neck / body) - np.pi / 2, 1.25)
        outline = [(neck, -0.8), *bulb, (0.2 * body, 0.9)]
    else:
        outline += [(body, 0.82), (body - 0.08, 0.9)]
    pen.polygon(mirrored(outline), look.main)
    cap, lip = rng.uniform(0.1, 0.3), rng.uniform(0.03, 0.08)
    pen.rectangle(-neck - lip, -0.93, neck + lip, -0.93 + cap, look.accent, radius=0.05)
    middle = 0.9 - body if kind == "flask" else rng.uniform(0.42, 0.5)
    if kind != "waist" and chance(rng, 0.65):
        half, high = body * rng.uniform(0.7, 1.0), rng.uniform(0.16, 0.25)
        label = pick(rng, [glass(look), look.accent])
        pen.rectangle(-half, middle - high, half, middle + high, label)
        if chance(rng, 0.6):
            pen.ellipse(0, middle, 0.13, 0.13, look.detail)
    elif chance(rng, 0.7):
        pen.line([(-body * 0.55, middle - 0.15), (-body * 0.55, middle + 0.2)], 0.12, look.shade(2))


def bell(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Church bell with a loop, hand bell with a handle, or festive bell with a bow; clapper."""
    mouth, waist = rng.uniform(0.68, 0.86), rng.uniform(0.3, 0.44)
    crown, rim = rng.uniform(-0.6, -0.45), rng.uniform(0.5, 0.62)
    pen.ellipse(rng.uniform(-0.12, 0.12), rim + 0.1, 0.22, 0.24, look.dark)
    kind = pick(rng, ["loop", "handle", "bow"])
    if kind == "loop":
        pen.arc(0, crown - 0.12, 0.18, 0, 2 * np.pi, 0.13, look.shade(0.7))
    elif kind == "handle":
        pen.line([(0, crown), (0, -0.85)], rng.uniform(0.2, 0.28), look.accent)
        crown += 0.08
    dome = arc_points(0, crown + waist, waist, waist, -np.pi / 2, -0.2, 7)
    t = np.linspace(0, 1, 8)[1:]
    flare = np.stack(
        [
            waist + (mouth - 0.08 - waist) * t ** rng.uniform(1.6, 3.2),
            crown + waist + (rim - crown - waist) * t,
        ],
        axis=1,
    )
    pen.polygon(mirrored(np.concatenate([dome, flare])), look.main)
    pen.line([(-mouth + 0.06, rim), (mouth - 0.06, rim)], rng.uniform(0.16, 0.26), look.shade(0.72))
    if chance(rng, 0.5):
        y, wide = crown + 1.15 * waist, waist * 1.0
        pen.line([(-wide + 0.06, y), (wide - 0.06, y)], 0.12, look.accent)
    if kind == "bow":
        for side in (-1, 1):
            pen.curve(
                [(0, crown), (side * 0.42, crown - 0.3), (side * 0.5, crown + 0.16)], look.accent
            )
        pen.ellipse(0, crown, 0.14, 0.14, look.detail)


def key(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A round, square, heart or clover bow with a hole, a shaft, and one to three teeth."""
    size, shaft = rng.uniform(0.36, 0.45), rng.uniform(0.2, 0.28)
    bow = -0.92 + size
    pen.line([(0, bow), (0, 0.84)], shaft, look.main)
    teeth, side = int(rng.integers(1, 4)), pick(rng, [-1, 1])
    for index in range(teeth):
        y = 0.82 - 0.25 * index
        reach = side * (shaft / 2 + rng.uniform(0.18, 0.36))
        pen.rectangle(0, y - 0.07, reach, y + 0.11, look.main)
    if chance(rng, 0.5):
        pen.line(
            [(-shaft * 0.75, bow + size + 0.08), (shaft * 0.75, bow + size + 0.08)],
            0.13,
            look.accent,
        )
    kind = pick(rng, ["round", "oval", "square", "heart", "clover"])
    if kind in ("round", "oval"):
        pen.ellipse(0, bow, size * (1.25 if kind == "oval" else 1), size, look.main)
    elif kind == "square":
        pen.rectangle(-size, bow - size, size, bow + size, look.main, radius=rng.uniform(0.05, 0.2))
    elif kind == "heart":
        pen.polygon(heart_points(2.5 * size, 2.1 * size, 0, bow), look.main)
    else:
        for x, y in ((-0.55, 0.4), (0.55, 0.4), (0, -0.4)):
            pen.ellipse(x * size, bow + y * size, 0.62 * size, 0.62 * size, look.main)
    hole = size * rng.uniform(0.38, 0.52)
    pen.ellipse(0, bow + 0.05 * size * (kind == "clover"), hole, hole, None)


def envelope(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Closed with a seal, open with a letter, or its front with a stamp and an address."""
    half, high = rng.uniform(0.86, 0.94), rng.uniform(0.5, 0.64)
    kind = pick(rng, ["closed", "closed", "open", "front"])
    shift = 0.25 if kind == "open" else 0.0
    top, foot = shift - high, shift + high
    fold = shift + rng.uniform(-0.05, 0.2) * high
    if kind == "open":
        pen.polygon([(-half, top), (0, top - 0.5), (half, top)], look.shade(0.6))
        pen.rectangle(
            -half + 0.18, top - rng.uniform(0.15, 0.3), half - 0.18, foot - 0.1, look.light
        )
        pen.polygon(
            [(-half, top), (0, fold + 0.1), (half, top), (half, foot), (-half, foot)], look.main
        )
    else:
        pen.rectangle(-half, top, half, foot, look.main, radius=0.04)
    if kind == "front":
        pen.rectangle(half - 0.48, top + 0.12, half - 0.12, top + 0.54, look.accent)
        for row in range(int(rng.integers(2, 4))):
            y = shift + 0.02 + 0.19 * row
            pen.line([(-half + 0.25, y), (rng.uniform(0.0, 0.35), y)], 0.1, look.dark)
        return
    for side in (-1, 1):
        pen.line([(side * (half - 0.06), foot - 0.06), (side * 0.2, fold)], 0.1, relief(look))
    if kind == "closed":
        flap = look.accent if chance(rng, 0.35) else look.shade(0.82)
        pen.polygon([(-half, top), (0, fold + 0.16), (half, top)], flap)
        crease = [(-half + 0.05, top + 0.05), (0, fold + 0.16), (half - 0.05, top + 0.05)]
        pen.line(crease, 0.1, relief(look))
        if chance(rng, 0.6):
            seal = rng.uniform(0.15, 0.22)
            pen.ellipse(0, fold + 0.12, seal, seal, look.detail)


DRAW = {"mug": mug, "bottle": bottle, "bell": bell, "key": key, "envelope": envelope}
