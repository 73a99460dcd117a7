"""Random textures cut from one fixed tile: far cheaper than drawing new noise per picture."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

_SIDE = 512


@cache
def noise_tile() -> np.ndarray:
    """(512, 512) uint8, uniform noise; the same on every machine (integers only)."""
    return np.random.Generator(np.random.PCG64(40)).integers(0, 256, (_SIDE, _SIDE), dtype=np.uint8)


@cache
def bell_tile() -> np.ndarray:
    """(512, 512, 3) float32, roughly normal noise of mean 0 and deviation 1.

    A sum of twelve uniform integers stands in for the normal distribution: unlike a logarithm
    it comes out the same on every machine.
    """
    draws = np.random.Generator(np.random.PCG64(41)).integers(
        0, 256, (12, _SIDE, _SIDE, 3), dtype=np.uint8
    )
    total = draws.sum(0, dtype=np.int32).astype(np.float32)
    return (total - np.float32(12 * 127.5)) / np.float32(256)


def bell_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) float32 noise, mean 0, deviation 1, from a random place of the tile."""
    top, left = (rng.random(2) * _SIDE).astype(int).tolist()
    rows = (top + np.arange(size)) % _SIDE
    columns = (left + np.arange(size)) % _SIDE
    if top + size <= _SIDE and left + size <= _SIDE:
        return bell_tile()[top : top + size, left : left + size]
    return bell_tile()[rows[:, None], columns]


def cloud(rng: np.random.Generator, size: int, coarse: int, octaves: int) -> np.ndarray:
    """(size, size) float32 in 0..1: smooth noise, `coarse` cells wide, plus finer octaves.

    Every octave is a small crop of the tile, enlarged; crops do not depend on `size`.
    """
    total = np.zeros((size, size), np.float32)
    weight, weights, cells = 1.0, 0.0, coarse
    for _ in range(octaves):
        top, left = (rng.random(2) * (_SIDE - cells)).astype(int).tolist()
        crop = Image.fromarray(noise_tile()[top : top + cells, left : left + cells])
        layer = np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC))
        total += layer * np.float32(weight / 255)
        weights += weight
        weight, cells = weight * 0.55, min(cells * 2, _SIDE // 2)
    return total / np.float32(weights)
