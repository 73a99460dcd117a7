"""Light and camera: shading and soft shadows of objects; colour cast, blur and sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from fsslib.data.scenes.noise import bell_noise
from fsslib.data.scenes.raster import Sprite


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        x, y: unit vector towards the lamp, in the image plane (y down).
        relief: how strongly objects look rounded, 0 flat .. 1.
        slope: brightness change across an object, 0..0.35.
        shadow: how dark shadows are, 0 none .. 0.6.
        distance: shadow offset, fraction of the image.
        softness: shadow blur, fraction of the image.
    """

    x: float
    y: float
    relief: float
    slope: float
    shadow: float
    distance: float
    softness: float


def random_light(rng: np.random.Generator) -> Light:
    """Light from above, more or less, of random hardness."""
    angle, relief, slope, shadow, distance, softness = rng.random(6).tolist()
    direction = np.pi * (-0.95 + 0.9 * angle)
    return Light(
        x=float(np.cos(direction)),
        y=float(np.sin(direction)),
        relief=0.15 + 0.55 * relief,
        slope=0.05 + 0.25 * slope,
        shadow=max(0.0, 0.75 * shadow - 0.15),
        distance=0.012 + 0.035 * distance,
        softness=0.008 + 0.03 * softness,
    )


def stamp(canvas: np.ndarray, sprite: Sprite, light: Light) -> None:
    """Draw `sprite` with its shadow and shading onto `canvas` (size, size, 3) float32, in place."""
    if light.shadow > 0.03:
        _cast_shadow(canvas, sprite, light)
    shade = _shading(sprite, light, len(canvas))[..., None]
    keep = (255 - sprite.alpha).astype(np.float32)[..., None] * np.float32(1 / 255)
    target = canvas[sprite.window]
    target *= keep
    target += sprite.colour * shade


def expose(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera: colour cast, uneven illumination, sometimes blur, always some noise -> uint8."""
    size = len(canvas)
    draws = rng.random(8).tolist()
    cast = 0.86 + 0.26 * np.array(draws[0:3], np.float32) + np.float32(0.12 * (draws[3] - 0.5))
    angle, strength = 2 * np.pi * draws[4], 0.28 * draws[5]
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    gain = ramp * np.float32(strength * np.cos(angle))
    gain = 1 + gain + (ramp * np.float32(strength * np.sin(angle)))[:, None]
    canvas *= gain[..., None] * cast
    if draws[6] < 0.3:
        np.clip(canvas, 0, 255, out=canvas)
        blurred = Image.fromarray(canvas.astype(np.uint8))
        blurred = blurred.filter(ImageFilter.GaussianBlur((0.002 + 0.02 * draws[6]) * size))
        canvas = np.asarray(blurred, np.float32)
    canvas = canvas + bell_noise(rng, size) * np.float32(1.5 + 9 * draws[7] ** 2)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _cast_shadow(canvas: np.ndarray, sprite: Sprite, light: Light) -> None:
    size = len(canvas)
    reach = max(1, round(2 * light.softness * size))
    height, width = sprite.alpha.shape
    alpha = Image.new("L", (width + 2 * reach, height + 2 * reach))
    alpha.paste(Image.fromarray(sprite.alpha), (reach, reach))
    soft = np.asarray(alpha.filter(ImageFilter.BoxBlur(light.softness * size)))
    left = sprite.left - reach - round(light.x * light.distance * size)
    top = sprite.top - reach - round(light.y * light.distance * size)
    bottom, right = min(top + soft.shape[0], size), min(left + soft.shape[1], size)
    y0, x0 = max(top, 0), max(left, 0)
    if bottom > y0 and right > x0:
        part = soft[y0 - top : bottom - top, x0 - left : right - left]
        canvas[y0:bottom, x0:right] *= (
            1 - part.astype(np.float32) * np.float32(light.shadow / 255)
        )[..., None]


def _shading(sprite: Sprite, light: Light, size: int) -> np.ndarray:
    """(h, w) float32 brightness factor: a slope over the crop, and rounded-looking rims.

    The blurred silhouette is read as a height map; the difference of two copies shifted along
    the light is its slope towards the lamp.
    """
    height, width = sprite.alpha.shape
    radius = max(1, round(0.03 * size))
    mask = Image.new("L", (width + 2 * radius, height + 2 * radius))
    mask.paste(Image.fromarray(sprite.alpha), (radius, radius))
    hill = mask.filter(ImageFilter.BoxBlur(radius))
    dx, dy = round(light.x * radius), round(light.y * radius)
    near = hill.crop((radius + dx, radius + dy, radius + dx + width, radius + dy + height))
    far = hill.crop((radius - dx, radius - dy, radius - dx + width, radius - dy + height))
    rise = ImageChops.subtract(far, near, scale=2, offset=128)
    shade = (np.asarray(rise, np.float32) - 128) * np.float32(light.relief / 128)
    reach = max(height, width)
    shade += np.linspace(-width, width, width, dtype=np.float32) * np.float32(
        light.slope * light.x / reach
    )
    shade += (
        np.linspace(-height, height, height, dtype=np.float32)
        * np.float32(light.slope * light.y / reach)
    )[:, None]
    return shade + np.float32(1)
