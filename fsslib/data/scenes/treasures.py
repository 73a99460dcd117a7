"""Things to be fond of: guitar, crown, heart.

Every function draws one object upright into [-1, 1]^2 (y down) and varies its proportions, number
of parts and sub-kind with ``rng``; pose, light and colours come from elsewhere.
"""

import numpy as np

from fsslib.data.scenes.parts import chance, face, heart_points, mirrored, pick
from fsslib.data.scenes.pen import Look, Pen


def guitar(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Acoustic (waisted, with a cutaway, or boxy), electric with horns, or flying V."""
    neck, head = rng.uniform(0.16, 0.22), rng.uniform(0.15, 0.2)
    wood = pick(rng, [look.accent, look.dark])
    for y in pick(rng, [(-0.88, -0.72), (-0.8,)]):
        pen.line([(-head - 0.06, y), (head + 0.06, y)], 0.11, look.light)
    pen.polygon(mirrored([(head * 1.05, -0.97), (head * 0.7, -0.6)]), wood)
    pen.rectangle(-neck / 2, -0.8, neck / 2, 0.1, wood)
    kind = pick(rng, ["waisted", "waisted", "cutaway", "boxy", "electric", "electric", "vee"])
    outline = _guitar_body(rng, kind, neck)
    (pen.polygon if kind in ("vee", "boxy") else pen.curve)(outline, look.main)
    if kind == "vee":
        pen.polygon(mirrored([(0.1, 0.06), (0.24, 0.36), (0, 0.46)]), look.detail)
        return
    if kind == "electric":
        pen.curve([(-0.3, 0.15), (0.05, 0.1), (0.36, 0.5), (0.1, 0.75)], look.light)
        pen.line([(-0.13, 0.4), (0.13, 0.4)], 0.13, look.dark)
    else:
        hole = rng.uniform(0.15, 0.21)
        pen.ellipse(0, 0.26, hole + 0.07, hole + 0.07, look.detail)
        pen.ellipse(0, 0.26, hole, hole, look.dark)
    pen.rectangle(-neck / 2, -0.7, neck / 2, 0.12, wood)
    pen.line([(-0.2, 0.7), (0.2, 0.7)], 0.13, look.dark)


def _guitar_body(rng, kind, neck):
    """The outline of the body, which starts at the neck and ends at the bottom, y = 0.93."""
    low, start = rng.uniform(0.5, 0.66), rng.uniform(-0.3, -0.05)
    top, waist = low * rng.uniform(0.68, 0.9), low * rng.uniform(0.55, 0.75)
    if kind == "vee":
        return mirrored([(0.12, -0.1), (low + 0.12, 0.72), (low - 0.14, 0.93), (0.0, 0.58)])
    if kind == "boxy":
        return mirrored([(top * 0.85, start + 0.1), (low * 0.85, 0.93)])
    shoulder = [(neck / 2, start), (top * 0.8, start + 0.05), (top, start + 0.22)]
    foot = [(waist, 0.32), (low, 0.6), (low * 0.65, 0.88), (0, 0.93)]
    body = mirrored(shoulder + foot)
    horn = [(neck / 2 + 0.04, 0.06), (top * 0.6, start - 0.05), (top, start + 0.05)]
    if kind in ("cutaway", "electric"):
        body[:3] = horn
    if kind == "electric":
        body[-3:] = np.array(horn[::-1]) * (-1, 1) - (0, rng.uniform(-0.05, 0.1))
    return body


def crown(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Three to six points in a straight or bowed row; beads, a band with jewels, a lining."""
    points, half = pick(rng, [3, 4, 5, 5, 6]), rng.uniform(0.6, 0.76)
    flare, band = rng.uniform(0.02, 0.84 - half), rng.uniform(0.24, 0.36)
    top, valley, foot = rng.uniform(-0.75, -0.5), rng.uniform(-0.1, 0.12), 0.7
    x = np.linspace(-1, 1, 2 * points - 1)
    arch = rng.uniform(-0.2, 0.25) * (1 - x**2)
    y = np.where(np.arange(len(x)) % 2, valley, np.maximum(top + arch, -0.84))
    spikes = np.stack([x * (half + flare * (foot - y) / (foot - top)), y], axis=1)
    if chance(rng, 0.3):
        pen.ellipse(0, valley, half * 0.85, 0.35, look.accent)
    pen.polygon([*spikes, (half, foot), (-half, foot)], look.main)
    bead = min(rng.uniform(0.1, 0.17), 0.7 / points)
    if chance(rng, 0.75):
        for tip in spikes[::2]:
            pen.ellipse(*tip, bead, bead, look.detail)
    trim = pick(rng, [look.accent, look.shade(0.7)])
    pen.rectangle(-half - 0.04, foot - band, half + 0.04, foot + 0.05, trim, radius=0.06)
    jewels = pick(rng, [0, 2, 3, 4])
    for place in np.linspace(-0.7, 0.7, jewels) * half:
        pen.ellipse(place, foot - band / 2, 0.1, 0.1, look.light)


def heart(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Full or slender; plain, rimmed, broken, banded, inset, pierced by an arrow, with a face."""
    wide, high, waist = rng.uniform(1.45, 1.88), rng.uniform(1.45, 1.85), rng.uniform(0, 1)
    kind = pick(rng, ["plain", "rimmed", "broken", "banded", "arrow", "face", "inset"])
    if kind == "arrow":
        pen.line([(-0.88, 0.45), (0.85, -0.45)], 0.12, look.dark)
        pen.polygon([(0.96, -0.5), (0.6, -0.62), (0.8, -0.16)], look.dark)
        wide, high = wide * 0.85, high * 0.9
    outline = heart_points(wide, high, waist=waist)
    pen.polygon(outline, look.accent if kind == "rimmed" else look.main)
    if kind == "rimmed":
        pen.polygon(outline * 0.78, look.main)
    elif kind == "broken":
        crack = np.array([(0.0, -0.3), (-0.14, -0.12), (0.14, 0.06), (-0.06, 0.2), (0.02, 0.36)])
        pen.line(crack * (1, high), 0.12, look.dark)
    elif kind == "banded":
        y, tilt = rng.uniform(-0.25, 0.0), rng.uniform(-0.1, 0.1)
        pen.line([(-wide * 0.36, y - tilt), (wide * 0.36, y + tilt)], 0.24, look.accent)
    elif kind == "inset":
        pen.polygon(heart_points(wide * 0.5, high * 0.5, 0, -0.05, waist), look.accent)
    elif kind == "face":
        face(pen, look.detail, 0, -0.12, rng.uniform(0.65, 0.85), rng)
    if kind in ("plain", "arrow", "broken") and chance(rng, 0.7):
        pen.arc(-wide * 0.24, -high * 0.2, wide * 0.13, np.pi, 1.5 * np.pi, 0.12, look.shade(2.2))


DRAW = {"guitar": guitar, "crown": crown, "heart": heart}
