"""Scenes-10i classes: car, boat, bus.

Every function draws one object upright into [-1, 1]^2 (y down, heading left) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

import itertools
from collections.abc import Callable

import numpy as np

from fsslib.data.scenes.aircraft import airplane, balloon, rocket
from fsslib.data.scenes.parts import arc_points, bend, chance, glass, pick, relief
from fsslib.data.scenes.pen import Look, Pen


def _wheel(pen, look, x, y, radius):
    pen.ellipse(x, y, radius, radius, look.dark)
    pen.ellipse(x, y, 0.45 * radius, 0.45 * radius, look.light)


def car(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Side view of a saloon, hatchback, pickup or beetle, with varying roof, wheels and lights."""
    waist, roof = rng.uniform(-0.12, 0.02), rng.uniform(0.34, 0.5)
    kind = pick(rng, (_saloon_roof, _hatchback_roof, _pickup_roof, _beetle_roof))
    cabin, windows = kind(rng, waist, roof)
    pen.polygon(cabin, look.main)
    for window in windows:
        pen.polygon(window, glass(look))
    floor = 0.36
    pen.rectangle(-0.93, waist, 0.93, floor, look.main, radius=rng.uniform(0.1, 0.22))
    pen.rectangle(-0.93, waist + 0.2, 0.93, floor, look.main, radius=0.08)
    if chance(rng, 0.5):
        pen.rectangle(-0.9, 0.16, 0.9, 0.28, look.accent)
    pen.ellipse(-0.84, waist + 0.17, 0.09, 0.08, look.detail)
    pen.rectangle(0.82, waist + 0.1, 0.93, waist + 0.24, look.detail)
    radius, axle = rng.uniform(0.19, 0.27), rng.uniform(0.5, 0.6)
    for x in (-axle, axle - 0.02):
        _wheel(pen, look, x, 0.38, radius)
    if chance(rng, 0.25):
        middle = cabin[:, 0].mean()
        pen.rectangle(middle - 0.14, waist - roof - 0.13, middle + 0.14, waist - roof, look.detail)


def _cabin(waist, roof, front, front_top, rear_top, rear):
    """Cabin outline and two windows from the x of its four corners."""
    base, top = waist + 0.1, waist - roof
    outline = np.array([(front, base), (front_top, top), (rear_top, top), (rear, base)])
    sill, ledge = waist + 0.03, top + 0.1
    split = (front_top + rear_top) / 2
    fore = [
        (front + 0.16, sill),
        (front_top + 0.06, ledge),
        (split - 0.05, ledge),
        (split - 0.05, sill),
    ]
    aft = [
        (split + 0.05, sill),
        (split + 0.05, ledge),
        (rear_top - 0.06, ledge),
        (rear - 0.14, sill),
    ]
    return outline, [fore, aft]


def _saloon_roof(rng, waist, roof):
    return _cabin(waist, roof, -0.58, rng.uniform(-0.36, -0.2), rng.uniform(0.2, 0.36), 0.62)


def _hatchback_roof(rng, waist, roof):
    return _cabin(waist, roof, -0.55, rng.uniform(-0.34, -0.2), rng.uniform(0.66, 0.84), 0.91)


def _pickup_roof(rng, waist, roof):
    outline, windows = _cabin(waist, roof, -0.62, rng.uniform(-0.42, -0.32), 0.08, 0.12)
    return outline, [[windows[0][0], windows[0][1], (0.0, waist - roof + 0.1), (0.0, waist + 0.03)]]


def _beetle_roof(rng, waist, roof):
    half = rng.uniform(0.6, 0.72)
    outline = arc_points(0.05, waist + 0.12, half, roof + 0.16, np.pi, 2 * np.pi, 13)
    panes = [
        arc_points(
            0.05 + 0.05 * side, waist + 0.05, side * (half - 0.16), roof - 0.06, -np.pi / 2, 0.0, 6
        )
        for side in (-1, 1)
    ]
    return outline, [np.concatenate([[(p[0, 0], waist + 0.05)], p]) for p in panes]


def boat(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A sailing boat with one or two sails, a funnel steamer or a motor boat."""
    pick(rng, (_sailing_boat, _sailing_boat, _steamer, _motor_boat))(pen, look, rng)


def _hull(pen, paint, rng, deck, keel, reach=0.93):
    bow, stern = rng.uniform(0.5, 0.75), rng.uniform(0.55, 0.85)
    left = bend((-reach, deck), (-0.85 * bow, keel), (-bow * 0.6, keel), 6)
    right = bend((stern * 0.7, keel), (0.9 * stern, keel), (reach, deck), 6)
    pen.polygon(np.concatenate([left, right]), paint)


def _sailing_boat(pen, look, rng):
    deck, mast = rng.uniform(0.46, 0.56), rng.uniform(-0.25, 0.1)
    top, boom = rng.uniform(-0.95, -0.85), deck - 0.12
    pen.line([(mast, top + 0.05), (mast, deck + 0.1)], 0.11, look.dark)
    reach = rng.uniform(0.72, 0.9)
    belly = (0.5 * (mast + reach) + rng.uniform(0.05, 0.22), -0.35)
    leech = bend((mast + 0.06, top), belly, (reach, boom), 7)
    pen.polygon([*leech, (mast + 0.06, boom)], look.main)
    hull = pick(rng, (look.dark, look.detail))
    if chance(rng, 0.7):
        head, tack = top + rng.uniform(0.1, 0.4), -rng.uniform(0.6, 0.85)
        jib = pick(rng, (look.main, look.shade(0.7), look.accent))
        pen.polygon([(mast - 0.07, head), (mast - 0.07, boom), (tack, boom)], jib)
    else:
        hull = relief(look)  # one sail alone would not outweigh a hull of another colour
        pen.polygon([(mast, top - 0.02), (mast - 0.38, top + 0.1), (mast, top + 0.22)], look.detail)
    _hull(pen, hull, rng, deck, rng.uniform(0.8, 0.92))


def _steamer(pen, look, rng):
    deck, funnels = rng.uniform(0.1, 0.25), int(rng.integers(1, 4))
    lift = rng.uniform(0.24, 0.34)
    for x in np.linspace(-0.25, 0.3, funnels) if funnels > 1 else (rng.uniform(-0.2, 0.2),):
        pen.rectangle(x - 0.1, deck - lift - 0.55, x + 0.1, deck - lift + 0.1, look.accent)
        pen.rectangle(x - 0.1, deck - lift - 0.55, x + 0.1, deck - lift - 0.42, look.dark)
    pen.rectangle(-0.56, deck - lift, 0.6, deck + 0.1, look.light)
    for x in (-0.38, -0.1, 0.18, 0.44):
        pen.ellipse(x, deck - 0.5 * lift, 0.08, 0.08, look.dark)
    keel = rng.uniform(0.72, 0.85)
    _hull(pen, look.main, rng, deck, keel)
    pen.line([(-0.76, deck + 0.12), (0.8, deck + 0.12)], 0.1, look.detail)


def _motor_boat(pen, look, rng):
    deck = rng.uniform(0.0, 0.12)
    front = rng.uniform(-0.35, -0.1)
    pen.polygon(
        [(front - 0.25, deck + 0.05), (front, deck - 0.45), (0.5, deck - 0.45), (0.5, deck + 0.05)],
        look.accent,
    )
    pen.polygon(
        [
            (front - 0.05, deck - 0.06),
            (front + 0.08, deck - 0.32),
            (0.36, deck - 0.32),
            (0.36, deck - 0.06),
        ],
        look.light,
    )
    if chance(rng, 0.6):
        pen.line([(0.3, deck - 0.45), (0.3, deck - 0.85)], 0.1, look.dark)
        pen.polygon([(0.34, deck - 0.9), (0.75, deck - 0.76), (0.34, deck - 0.62)], look.detail)
    _hull(pen, look.main, rng, deck, rng.uniform(0.55, 0.68))
    pen.line([(-0.72, deck + 0.13), (0.78, deck + 0.13)], 0.11, look.light)


def bus(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Side view of a coach, a double-decker or a school bus with bonnet."""
    kind = pick(rng, ("coach", "double", "school"))
    half = rng.uniform(0.74, 0.86) if kind == "double" else 0.93
    top = -0.85 if kind == "double" else rng.uniform(-0.62, -0.45)
    floor, front = 0.52, -half
    if kind == "school":
        front = -0.62
        pen.rectangle(-0.93, 0.02, 0.0, floor, look.main, radius=0.12)
    pen.rectangle(front, top, half, floor, look.main, radius=rng.uniform(0.06, 0.18))
    count = int(rng.integers(3, 6))
    rows = ((top + 0.15, top + 0.45), (-0.2, 0.1)) if kind == "double" else ((top + 0.14, -0.06),)
    edges = np.linspace(front + 0.1, half - 0.04, count + 1)
    for y0, y1 in rows:
        for x0, x1 in itertools.pairwise(edges):
            pen.rectangle(x0, y0, x1 - 0.09, y1, glass(look), radius=0.03)
    if chance(rng, 0.6):
        pen.rectangle(front, 0.16, half, 0.28, look.accent)
    if chance(rng, 0.5):
        pen.rectangle(edges[0], rows[-1][0], edges[0] + 0.22, floor - 0.04, look.dark, radius=0.03)
    pen.ellipse(-half + 0.08 if kind != "school" else -0.85, 0.34, 0.08, 0.08, look.detail)
    radius = rng.uniform(0.17, 0.23)
    for x in pick(rng, ((-0.52, 0.5), (-0.55, 0.42), (-0.56, 0.32, 0.66))):
        _wheel(pen, look, x, floor, radius)


DRAW: dict[str, Callable[[Pen, Look, np.random.Generator], None]] = {
    "car": car,
    "rocket": rocket,
    "boat": boat,
    "bus": bus,
    "airplane": airplane,
    "balloon": balloon,
}
