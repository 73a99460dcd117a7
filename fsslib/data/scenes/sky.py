"""Things of the sky: moon (a crescent) and star.

Every function draws one object upright into [-1, 1]^2 (y down) and varies its proportions, number
of parts and sub-kind with ``rng``; pose, light and colours come from elsewhere.
"""

import numpy as np

from fsslib.data.scenes.parts import arc_points, chance, face, moved, pick, relief, star_points
from fsslib.data.scenes.pen import Look, Pen


def moon(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A crescent, thin or fat and tilted; craters or a face; a nightcap or a cloud."""
    thickness, tilt = rng.uniform(0.55, 0.95), rng.uniform(-0.6, 0.6)
    outline = _crescent(0.9, rng.uniform(0.5, 1.05), thickness)
    turned = moved(outline, 0, 0, tilt)
    centre = (turned.min(axis=0) + turned.max(axis=0)) / 2

    def place(*points):
        """From the untilted crescent, its circle around (0, 0), to the drawing."""
        return moved(points, *-centre, tilt)

    pen.polygon(turned - centre, look.main)
    kind, middle = pick(rng, ["craters", "face", "plain"]), thickness / 2 - 0.9
    if kind == "craters":
        for angle in np.pi + rng.uniform(-0.3, 0.3) + np.array([-0.75, 0.0, 0.7]):
            ring = 0.9 - thickness * rng.uniform(0.35, 0.5)
            size = thickness * rng.uniform(0.12, 0.2)
            (spot,) = place((ring * np.cos(angle), ring * np.sin(angle)))
            pen.ellipse(*spot, size, size, relief(look))
    elif kind == "face":
        edge = thickness - 0.9
        nose = [(edge - 0.1, -0.14), (edge + rng.uniform(0.12, 0.2), 0.08), (edge - 0.1, 0.14)]
        pen.polygon(place(*nose), look.main)
        (eye,) = place((middle + 0.12, -0.16))
        pen.ellipse(*eye, 0.09, 0.11, look.detail)
        smile = place((middle + 0.06, 0.28), (middle + 0.18, 0.34), (edge - 0.02, 0.28))
        pen.line(smile, 0.1, look.detail)
    if chance(rng, 0.3):
        _nightcap(pen, look, place(*outline))
    elif chance(rng, 0.25):
        x = rng.uniform(-0.3, 0.2)
        for dx, dy, size in ((-0.28, 0.06, 0.17), (0.0, -0.03, 0.23), (0.28, 0.06, 0.18)):
            pen.ellipse(x + dx, 0.7 + dy, size * 1.15, size, look.light)


def _crescent(radius: float, horn: float, thickness: float) -> np.ndarray:
    """`(48, 2)` outline, open to the right: 28 points of the disc's edge, then 20 of the bite's.

    The horns sit on the disc at the angles +-`horn`; the bite is the circle through both horns and
    the point where the crescent is `thickness` wide.
    """
    edge = thickness - radius
    centre = (radius**2 - edge**2) / (2 * (radius * np.cos(horn) - edge))
    half = np.arctan2(radius * np.sin(horn), radius * np.cos(horn) - centre)
    bite = centre - edge
    outer = arc_points(0, 0, radius, radius, horn, 2 * np.pi - horn, 28)
    return np.concatenate([outer, arc_points(centre, 0, bite, bite, 2 * np.pi - half, half, 20)])


def _nightcap(pen, look, outline) -> None:
    """A cap over the upper horn (outline point 27), its tip hanging down with a bobble."""
    horn, brim = outline[27], [outline[21], outline[34]]
    tip = np.minimum(np.add(horn, (0.1, 0.3)), 0.82)
    pen.curve(
        [brim[0], outline[24] * 1.04, horn * 1.02, tip, (brim[1] + tip) / 2, brim[1]], look.accent
    )
    pen.line(brim, 0.17, look.light)
    pen.ellipse(*tip, 0.14, 0.14, look.light)


def star(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Five to eight tips, slim or plump; sharp, rounded, rimmed, faceted, inset or with a face."""
    tips = pick(rng, [5, 5, 5, 6, 7, 8])
    inner = rng.uniform(0.38, 0.56) + 0.04 * (tips - 5)
    outline = star_points(tips, 0.95, inner)
    kind = pick(rng, ["plain", "rounded", "rimmed", "faceted", "inset", "face"])
    if kind == "rounded" and tips > 5:  # many round tips would make a flower
        kind = "plain"
    if kind == "rounded":
        pen.line(outline * 0.84, 0.24, look.main, closed=True)
        outline = outline * 0.86
    pen.polygon(outline, look.accent if kind == "rimmed" else look.main)
    if kind == "rimmed":
        pen.polygon(outline * 0.8, look.main)
    elif kind == "faceted":
        for index in range(0, 2 * tips, 2):
            pen.polygon([outline[index], outline[index - 1], (0, 0)], relief(look))
    elif kind == "inset":
        pen.polygon(star_points(tips, rng.uniform(0.4, 0.5), inner), look.accent)
    elif kind == "face" or chance(rng, 0.3):
        face(pen, look.detail, 0, 0.02, rng.uniform(0.55, 0.7), rng)


DRAW = {"moon": moon, "star": star}
