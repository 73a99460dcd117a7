"""Scenes-10i classes: snail, turtle.

Every function draws one object upright into [-1, 1]^2 (y down, facing left) and varies
proportions, parts and sub-kinds with `rng`; the renderer adds pose, light and occlusion.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, bend, chance, eye, mirrored, pick, relief
from fsslib.data.scenes.pen import Look, Pen


def snail(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Side view: a coiled or a tall banded shell on a foot with raised or stretched head."""
    skin = pick(rng, (look.light, look.accent, look.detail))
    x, y = rng.uniform(-0.8, -0.62), rng.uniform(-0.3, 0.35)
    for lean in (-0.24, 0.12):
        horn = (max(x + lean, -0.87), y - rng.uniform(0.3, 0.45))
        pen.line([(x, y), horn], 0.1, skin)
        pen.ellipse(*horn, 0.09, 0.09, look.dark)
    foot = [
        (x - 0.13, y + 0.03),
        (x + 0.02, y - 0.14),
        (x + 0.14, y + 0.05),
        (x + 0.14, 0.5),
        (-0.2, 0.68),
        (0.4, 0.7),
        (rng.uniform(0.75, 0.94), 0.86),
        (0.2, 0.92),
        (x + 0.15, 0.9),
        (x - 0.12, 0.7),
    ]
    pen.curve(foot, skin)
    (_coiled_shell if chance(rng, 0.7) else _tall_shell)(pen, look, rng)


def _coiled_shell(pen, look, rng):
    size, x, flat = rng.uniform(0.54, 0.7), rng.uniform(0.12, 0.25), rng.uniform(0.82, 1.0)
    y = 0.78 - size * flat
    pen.ellipse(x, y, size, size * flat, look.main)
    turn = np.linspace(0.0, 2 * np.pi * rng.uniform(1.2, 1.8), 22)
    radius = size * np.linspace(0.76, 0.08, 22)
    start = rng.uniform(0.2, 1.2)
    across, down = radius * np.cos(start + turn), flat * radius * np.sin(start + turn)
    pen.line(np.stack([x + across, y + down], 1), 0.1, relief(look))


def _tall_shell(pen, look, rng):
    size, lean = rng.uniform(0.48, 0.56), rng.uniform(0.45, 0.8)
    band, shrink = relief(look), rng.uniform(0.74, 0.8)
    x, y = 0.08, 0.8 - 0.7 * size
    for step in range(int(rng.integers(4, 6))):
        pen.ellipse(x, y, size, 0.68 * size, band if step % 2 else look.main, lean)
        x, y = x + 0.62 * size * np.sin(lean), y - 0.62 * size * np.cos(lean)
        size *= shrink


def turtle(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A tortoise from the side or a sea turtle from above."""
    pick(rng, (_tortoise, _sea_turtle))(pen, look, rng)


def _tortoise(pen, look, rng):
    high, skin = rng.uniform(0.65, 0.95), pick(rng, (look.detail, look.accent))
    neck = rng.uniform(-0.2, 0.15)
    pen.line(bend((-0.4, 0.42), (-0.7, 0.42), (-0.72, neck)), 0.22, skin)
    pen.ellipse(-0.74, neck, 0.21, 0.17, skin)
    eye(pen, look, -0.8, neck - 0.03, 0.07)
    pen.polygon([(0.6, 0.3), (0.94, 0.52), (0.55, 0.5)], skin)
    for x in (-0.36, 0.42):
        pen.rectangle(x - 0.14, 0.35, x + 0.14, rng.uniform(0.72, 0.8), skin, radius=0.08)
    dome = arc_points(0.03, 0.42, rng.uniform(0.62, 0.7), high, np.pi, 2 * np.pi)
    pen.polygon(dome, look.main)
    scute = pick(rng, (relief(look), look.light, look.accent))
    for x, y in ((0.03, -0.62), (-0.3, -0.3), (0.36, -0.3))[: int(rng.integers(1, 4))]:
        pen.polygon(arc_points(x, 0.42 + y * high, 0.16, 0.17, 0.0, 2 * np.pi, 7), scute)
    pen.line([(-0.62, 0.42), (0.68, 0.42)], 0.13, relief(look))


def _sea_turtle(pen, look, rng):
    wide, skin = rng.uniform(0.46, 0.56), pick(rng, (look.detail, look.accent))
    sweep = rng.uniform(0.15, 0.55)
    for side in (-1, 1):
        front = [(0.25, -0.45), (0.6, -0.62), (0.92, sweep - 0.45), (0.66, -0.3), (0.3, -0.15)]
        rear = [(0.2, 0.5), (0.55, 0.6), (0.6, 0.9), (0.35, 0.78)]
        pen.curve(np.array(front) * (side, 1.0), skin)
        pen.curve(np.array(rear) * (side, 1.0), skin)
    pen.polygon([(-0.1, 0.6), (0.1, 0.6), (0.0, 0.95)], skin)
    pen.ellipse(0.0, -0.72, 0.18, 0.22, skin)
    for side in (-1, 1):
        pen.ellipse(0.1 * side, -0.78, 0.055, 0.055, look.dark)
    pen.curve(mirrored([(0.25, -0.55), (wide, -0.15), (0.85 * wide, 0.4), (0.15, 0.74)]), look.main)
    scute = pick(rng, (relief(look), look.light, look.accent))
    for y in np.linspace(-0.28, 0.42, int(rng.integers(2, 4))):
        pen.polygon(arc_points(0.0, y, 0.5 * wide, 0.13, 0.0, 2 * np.pi, 7), scute)
