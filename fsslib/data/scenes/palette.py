"""Random but coherent colours for one object: `random_look` draws a `Look`.

Colours have names because captions speak of them. They are drawn independently of the class, so
that a colour never tells a class: a banana-yellow cactus is as likely as a green one.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from fsslib.data.scenes.pen import Colour, Look, Paint, shade_colour

# name: hue, its spread, saturation range, value range (all 0..1)
_NAMED = {
    "red": (0.995, 0.012, (0.75, 0.98), (0.62, 0.92)),
    "orange": (0.075, 0.012, (0.80, 1.00), (0.88, 1.00)),
    "yellow": (0.145, 0.012, (0.65, 0.95), (0.90, 1.00)),
    "green": (0.345, 0.045, (0.50, 0.90), (0.38, 0.75)),
    "teal": (0.495, 0.015, (0.60, 0.95), (0.45, 0.72)),
    "blue": (0.605, 0.025, (0.65, 0.95), (0.55, 0.95)),
    "purple": (0.765, 0.025, (0.45, 0.80), (0.45, 0.75)),
    "pink": (0.930, 0.022, (0.28, 0.55), (0.92, 1.00)),
    "brown": (0.065, 0.015, (0.55, 0.80), (0.32, 0.52)),
    "grey": (0.600, 0.300, (0.00, 0.07), (0.42, 0.68)),
    "black": (0.650, 0.300, (0.00, 0.25), (0.07, 0.17)),
    "white": (0.120, 0.100, (0.00, 0.06), (0.92, 1.00)),
}
COLOUR_NAMES = tuple(_NAMED)
"""The colour words of the captions."""

PATTERN_WORDS = {
    "stripes": "striped",
    "dots": "dotted",
    "checks": "checked",
    "speckle": "speckled",
    "gradient": "",
}
"""The word that a caption uses for a pattern; "" for one nobody would mention."""


def random_colour(name: str, rng: np.random.Generator) -> Colour:
    """A shade that goes by `name`, one of `COLOUR_NAMES`."""
    if name not in _NAMED:
        raise ValueError(f"colour name={name!r} is unknown; choose one of {COLOUR_NAMES}")
    hue, spread, saturation, value = _NAMED[name]
    h, s, v = rng.random(3).tolist()
    return _hsv_to_rgb(
        (hue + spread * (2 * h - 1)) % 1.0,
        saturation[0] + s * (saturation[1] - saturation[0]),
        value[0] + v * (value[1] - value[0]),
    )


def random_look(rng: np.random.Generator, avoid: tuple[str, ...] = ()) -> Look:
    """Draw the colours of one object.

    Args:
        rng: source of randomness.
        avoid: colour names that `main` may not take (the colour of a plain background).
    """
    main_name, accent_name = _two_names(rng, avoid)
    main_colour, accent_colour = random_colour(main_name, rng), random_colour(accent_name, rng)
    third = random_colour(_rivals(main_name)[int(rng.integers(len(_rivals(main_name))))], rng)
    main = _maybe_pattern(main_colour, third, 0.45, rng)
    tint = 0.06 * rng.random()
    light = tuple(int(255 - (255 - c) * tint - 14 * rng.random()) for c in main_colour)
    dark = tuple(int(22 + c * 0.16) for c in main_colour)
    return Look(
        main=main,
        accent=_maybe_pattern(accent_colour, shade_colour(accent_colour, 0.6), 0.2, rng),
        light=Paint(light),
        dark=Paint(dark),
        detail=Paint(_contrasting(main_colour, rng)),
        colour_name=main_name,
        pattern_name=PATTERN_WORDS.get(main.pattern or "", ""),
    )


def _two_names(rng: np.random.Generator, avoid: tuple[str, ...]) -> tuple[str, str]:
    """Two different names whose colours can be told apart; the first is not in `avoid`."""
    names = [name for name in COLOUR_NAMES if name not in avoid]
    first = names[int(rng.integers(len(names)))]
    rivals = _rivals(first)
    return first, rivals[int(rng.integers(len(rivals)))]


@cache
def _rivals(name: str) -> tuple[str, ...]:
    """The colour names that stand out from `name`, by distance of their mean colours."""
    middle = _middle(name)
    return tuple(other for other in COLOUR_NAMES if _distance(_middle(other), middle) > 110)


@cache
def _middle(name: str) -> Colour:
    hue, _, saturation, value = _NAMED[name]
    return _hsv_to_rgb(hue, sum(saturation) / 2, sum(value) / 2)


def _distance(one: Colour, other: Colour) -> float:
    """Weighted RGB distance, 0..~440: green counts most, as it does for the eye."""
    return sum(w * (a - b) ** 2 for w, a, b in zip((0.9, 1.4, 0.7), one, other, strict=True)) ** 0.5


def _contrasting(main: Colour, rng: np.random.Generator) -> Colour:
    """The farthest from `main` of four random colours, black and white among the choices."""
    picks = [COLOUR_NAMES[i] for i in rng.integers(len(COLOUR_NAMES), size=2)]
    choices = [random_colour(name, rng) for name in (*picks, "white", "black")]
    weights = 0.7 + 0.6 * rng.random(len(choices))
    return max(zip(weights, choices, strict=True), key=lambda p: p[0] * _distance(p[1], main))[1]


def _maybe_pattern(colour: Colour, other: Colour, chance: float, rng: np.random.Generator) -> Paint:
    """`colour`, with probability `chance` patterned with `other`."""
    use, kind, shaded, scale, angle = rng.random(5).tolist()
    if use >= chance:
        return Paint(colour)
    pattern = tuple(PATTERN_WORDS)[int(kind * len(PATTERN_WORDS))]
    second = shade_colour(colour, 0.55) if shaded < 0.3 or pattern == "gradient" else other
    return Paint(colour, pattern, second, 0.24 + 0.22 * scale, angle * np.pi)


def _hsv_to_rgb(hue: float, saturation: float, value: float) -> Colour:
    """Textbook conversion; all inputs 0..1."""

    def channel(n: float) -> int:
        k = (n + hue * 6) % 6
        return round(255 * value * (1 - saturation * max(0.0, min(k, 4 - k, 1.0))))

    return channel(5), channel(3), channel(1)
