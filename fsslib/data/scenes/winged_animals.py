"""Scenes-10i classes: butterfly, bird.

Every function draws one object upright into [-1, 1]^2 (y down, facing left) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

import numpy as np

from fsslib.data.scenes.parts import bend, chance, eye, moved, pick
from fsslib.data.scenes.pen import Look, Pen


def butterfly(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Open wings from above: pointed or round, with border, spots, swallow tails or not."""
    tall, out, low = rng.uniform(0.62, 0.88), rng.uniform(0.78, 0.92), rng.uniform(0.55, 0.8)
    tip, notch, reach = rng.uniform(0.6, 1.0), rng.uniform(-0.45, -0.1), rng.uniform(0.5, 0.75)
    upper = [(0.0, -0.12), (0.4, -tall), (out, -tip * tall), (0.97 * out, notch), (0.4, 0.1)]
    lower = [(0.0, -0.05), (0.5, -0.05), (reach, 0.25), (0.8 * reach, low), (0.2, 0.62)]
    bright = look.accent if tall > 0.78 > reach + 0.1 else look.main  # keeps `main` the largest
    second = pick(rng, (look.main, look.shade(0.65), bright))
    border, tails, spots = chance(rng, 0.5), chance(rng, 0.35), int(rng.integers(0, 4))
    for side in (-1, 1):
        flip = (side, 1.0)
        if tails:
            tail = [(0.3 * reach, 0.4), (0.95 * reach, 0.3), (rng.uniform(0.55, 0.75), 0.95)]
            pen.polygon(np.array(tail) * flip, look.dark if border else second)
        for wing, paint in ((np.array(lower), second), (np.array(upper), look.main)):
            if border:
                pen.curve(wing * flip, look.dark)
                wing = wing.mean(axis=0) + 0.84 * (wing - wing.mean(axis=0))
            pen.curve(wing * flip, paint)
        if spots % 2:
            pen.ellipse(side * 0.65 * out, -0.62 * tall, 0.13, 0.16, look.detail)
        if spots > 1:
            pen.ellipse(side * 0.62 * reach, 0.3, 0.13, 0.13, look.light)
        feeler = bend((0.03 * side, -0.4), (0.06 * side, -0.75), (0.27 * side, -0.9), 6)
        pen.line(feeler, 0.1, look.dark)
    pen.ellipse(0.0, 0.08, rng.uniform(0.09, 0.14), rng.uniform(0.45, 0.6), look.dark)
    pen.ellipse(0.0, -0.42, 0.13, 0.13, look.dark)


def bird(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A perching songbird, a flying bird or a swimming duck, each from the side."""
    pick(rng, (_perching_bird, _flying_bird, _duck))(pen, look, rng)


def _bird_head(pen, look, rng, x, y, radius, beak):
    thick = rng.uniform(0.3, 0.55) * radius
    pen.polygon(
        [
            (x - 0.7 * radius, y - thick),
            (x - radius - beak, y + 0.1 * radius),
            (x - 0.7 * radius, y + thick),
        ],
        look.detail,
    )
    if chance(rng, 0.3):
        crest = [(-0.4, -0.8), (0.3, -1.6), (0.35, -1.2), (0.95, -1.35), (0.8, -0.4)]
        pen.polygon(moved(crest, x, y, scale=radius), look.accent)
    pen.ellipse(x, y, radius, radius, pick(rng, (look.main, look.shade(0.7))))
    eye(pen, look, x - 0.3 * radius, y - 0.15 * radius, 0.1)


def _perching_bird(pen, look, rng):
    fat, tilt = rng.uniform(0.36, 0.5), rng.uniform(0.15, 0.55)
    tail = [(0.3, -0.15), (0.98, -0.17), (0.98, 0.12), (0.3, 0.15)]
    pen.polygon(moved(tail, 0.0, 0.05, tilt, rng.uniform(0.85, 0.95)), look.shade(0.7))
    for x in (-0.1, 0.14):
        pen.line([(x, 0.3), (x - 0.03, 0.84), (x - 0.17, 0.84)], 0.1, look.detail)
    pen.ellipse(0.0, 0.1, 0.58, fat, look.main, tilt)
    pen.ellipse(-0.22, 0.2, 0.28, 0.6 * fat, look.light, tilt)
    wing = [(-0.25, -0.1), (0.1, -0.2), (0.68, 0.03), (0.35, 0.17), (-0.05, 0.2)]
    pen.curve(moved(wing, 0.1, 0.02, tilt), look.accent)
    _bird_head(pen, look, rng, -0.4, -0.36, rng.uniform(0.27, 0.34), rng.uniform(0.14, 0.26))


def _flying_bird(pen, look, rng):
    lift, sweep = rng.uniform(-0.92, -0.7), rng.uniform(0.1, 0.6)
    body = rng.uniform(0.2, 0.27)
    far = [(-0.36, 0.2), (sweep - 0.5, 0.95 * lift), (sweep - 0.2, 0.5 * lift), (0.1, 0.2)]
    pen.polygon(far, look.shade(0.65))
    fork = rng.uniform(0.65, 0.9)
    pen.polygon([(0.25, 0.15), (0.94, 0.02), (fork, 0.26), (0.94, 0.5), (0.25, 0.4)], look.accent)
    pen.ellipse(-0.1, 0.27, 0.62, body, look.main, 0.08)
    pen.ellipse(-0.2, 0.27 + 0.5 * body, 0.36, 0.5 * body, look.light, 0.08)
    edge = bend((-0.34, 0.25), (-0.38, 0.6 * lift), (sweep, lift), 7)
    trail = bend((sweep + 0.06, lift + 0.04), (0.25 + 0.2 * sweep, 0.3 * lift), (0.4, 0.28), 9)
    if chance(rng, 0.5):
        trail[::2] += (0.08, 0.0)
    pen.polygon([*edge, *trail], look.main)
    inner = np.array([*edge[:5], *trail[5:]])
    pen.polygon(inner.mean(axis=0) + 0.7 * (inner - inner.mean(axis=0)), look.accent)
    _bird_head(pen, look, rng, -0.6, 0.12, rng.uniform(0.21, 0.25), rng.uniform(0.1, 0.13))


def _duck(pen, look, rng):
    neck, head = rng.uniform(-0.6, -0.3), rng.uniform(0.24, 0.3)
    pen.line(bend((-0.35, 0.4), (-0.2, 0.0), (-0.42, neck)), rng.uniform(0.24, 0.34), look.main)
    hull = [
        (-0.62, 0.3),
        (-0.2, 0.1),
        (0.4, 0.12),
        (0.92, -0.18),
        (0.8, 0.45),
        (0.3, 0.76),
        (-0.35, 0.72),
    ]
    pen.curve(hull, look.main)
    pen.curve([(-0.2, 0.32), (0.25, 0.18), (0.72, 0.2), (0.35, 0.54), (-0.05, 0.52)], look.accent)
    x, y = -0.42, neck
    pen.rectangle(x - head - 0.26, y - 0.02, x, y + 0.16, look.detail, radius=0.08)
    pen.ellipse(x, y, head, head, look.main)
    if chance(rng, 0.4):
        pen.line([(-0.46, neck + head + 0.06), (-0.22, neck + head + 0.04)], 0.12, look.light)
    eye(pen, look, x - 0.07, y - 0.06, 0.1)
