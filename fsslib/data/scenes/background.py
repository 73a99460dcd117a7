"""What lies behind the objects: noise, gradients, bands, tiles, and crops of photographs.

Which photographs, and which parts of them, is said in `photos.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fsslib.data.scenes.noise import cloud
from fsslib.data.scenes.palette import COLOUR_NAMES, random_colour
from fsslib.data.scenes.photos import PHOTO_DRAWS, load_photo

_PHOTO_CHANCE = 0.5


@dataclass(frozen=True)
class Background:
    """What a background is.

    Attributes:
        words: for captions, with article: "grass", "a brick wall", "a blue background".
        colours: names of its own plain colours (objects avoid them); empty for photographs.
    """

    words: str
    colours: tuple[str, ...] = ()


def random_background(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """Draw a background.

    Returns:
        (size, size, 3) float32 in 0..255 that the caller may change, and what it is. The random
        numbers used do not depend on `size`.
    """
    if rng.random() < _PHOTO_CHANCE:
        return _photograph(rng, size)
    makers = (_clouds, _clouds, _gradient, _bands, _tiles)
    return makers[int(rng.integers(len(makers)))](rng, size)


def plain_background(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """A pale, even ground that nothing can hide on; arguments as in `random_background`."""
    name = COLOUR_NAMES[int(rng.integers(len(COLOUR_NAMES)))]
    pale = 225 + (np.array(random_colour(name, rng), np.float32) - 128) * np.float32(0.22)
    fall = np.linspace(1.04, 0.9, size, dtype=np.float32)[:, None, None]
    pixels = np.clip(np.broadcast_to(pale * fall, (size, size, 3)), 0, 255)
    return pixels, Background(f"a pale {name} background", (name, "white"))


def _photograph(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    photo = PHOTO_DRAWS[int(rng.integers(len(PHOTO_DRAWS)))]
    side, u, v, tint, flip, light, contrast = rng.random(7).tolist()
    image = load_photo(photo.file)
    left, top, right, bottom = (
        fraction * length for fraction, length in zip(photo.region, image.size * 2, strict=True)
    )
    side = (photo.crop[0] + side * (photo.crop[1] - photo.crop[0])) * min(
        right - left, bottom - top
    )
    x, y = left + u * (right - left - side), top + v * (bottom - top - side)
    crop = image.resize((size, size), Image.Resampling.BILINEAR, (x, y, x + side, y + side))
    pixels = np.asarray(crop, np.float32)
    if flip < 0.5:
        pixels = pixels[:, ::-1]
    colour = np.array(photo.tints[int(tint * len(photo.tints))], np.float32) / np.float32(255)
    gain, middle = np.float32(0.6 + 0.7 * contrast), np.float32(90 + 80 * light)
    # pull the crop's brightness part of the way towards a random level
    shift = (middle - pixels.mean(dtype=np.float64).astype(np.float32)) * np.float32(0.6)
    pixels = ((pixels - middle) * gain + middle + shift) * colour
    return np.clip(pixels, 0, 255), Background(photo.words)


def _names(rng: np.random.Generator, count: int) -> list[str]:
    return [COLOUR_NAMES[i] for i in rng.permutation(len(COLOUR_NAMES))[:count].tolist()]


def _softened(name: str, rng: np.random.Generator) -> np.ndarray:
    """A colour that goes by `name`, a little washed out as walls and skies are; (3,) float32."""
    colour = np.array(random_colour(name, rng), np.float32)
    wash = np.float32(0.35 * rng.random())
    return colour * (1 - wash) + colour.mean() * wash


def _blend(mix: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(h, w) weights in 0..1 and two colours -> (h, w, 3)."""
    return one + mix[..., None] * (other - one)


def _clouds(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """Smooth noise between two colours, or between shades of one."""
    single = rng.random() < 0.4
    coarse, octaves = int(rng.integers(2, 7)), int(rng.integers(2, 5))
    names = _names(rng, 2)
    one = _softened(names[0], rng)
    other = one * np.float32(0.5 + 0.3 * rng.random()) if single else _softened(names[1], rng)
    mix = np.clip((cloud(rng, size, coarse, octaves) - 0.5) * np.float32(1.8) + 0.5, 0, 1)
    words = f"{names[0]} background" if single else f"cloudy {names[0]} and {names[1]} background"
    used = names[:1] if single else names
    return _blend(mix, one, other), Background(f"{_article(words)} {words}", tuple(used))


def _gradient(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """One colour passing into a lighter or darker shade, with a breath of noise."""
    (name,) = _names(rng, 1)
    angle, depth = rng.random(2).tolist()
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    mix = (
        ramp * np.float32(np.cos(6.2832 * angle))
        + (ramp * np.float32(np.sin(6.2832 * angle)))[:, None]
    )
    mix = np.clip(mix + 0.5 + (cloud(rng, size, 6, 2) - 0.5) * np.float32(0.3), 0, 1)
    colour = _softened(name, rng)
    pixels = _blend(mix, colour, colour * np.float32(0.45 + 0.35 * depth))
    return pixels, Background(f"{_article(name)} {name} background", (name,))


def _bands(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """Parallel bands in two colours, their edges bent by noise."""
    names = _names(rng, 2)
    angle, count, bend, softness = rng.random(4).tolist()
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32) * np.float32(3 + 9 * count)
    phase = (
        ramp * np.float32(np.cos(3.1416 * angle))
        + (ramp * np.float32(np.sin(3.1416 * angle)))[:, None]
    )
    phase += (cloud(rng, size, 3, 2) - 0.5) * np.float32(3 * bend)
    triangle = np.abs(phase - np.floor(phase) - 0.5) * 2
    mix = np.clip((triangle - 0.5) * np.float32(2 + 10 * softness) + 0.5, 0, 1)
    pixels = _blend(mix, _softened(names[0], rng), _softened(names[1], rng))
    return pixels, Background(f"{names[0]} and {names[1]} stripes", tuple(names))


def _tiles(rng: np.random.Generator, size: int) -> tuple[np.ndarray, Background]:
    """A wall of tiles: joints in one colour, tiles in slightly different shades of another."""
    names = _names(rng, 2)
    count, aspect, joint, brick = rng.random(4).tolist()
    across = 3 + 5 * count
    rows = np.arange(size, dtype=np.float32)[:, None] * np.float32(across * (1 + aspect) / size)
    columns = np.arange(size, dtype=np.float32) * np.float32(across / size)
    columns = columns + (np.floor(rows) % 2) * np.float32(0.5 if brick < 0.5 else 0.0)
    row, column = np.floor(rows), np.floor(columns)
    shades = rng.random((32, 32), dtype=np.float32)[row.astype(int) % 32, column.astype(int) % 32]
    width = np.float32(0.06 + 0.1 * joint)
    grout = (rows - row < width) | (columns - column < width)
    tile = _softened(names[0], rng) * (0.75 + 0.35 * shades)[..., None]
    pixels = np.where(grout[..., None], _softened(names[1], rng), tile)
    pixels *= (0.85 + 0.3 * cloud(rng, size, 8, 2))[..., None]
    return pixels, Background(f"{names[0]} tiles", (names[0],))


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"
