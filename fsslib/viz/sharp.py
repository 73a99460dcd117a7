"""Scenes as sharp as a screen: a picture of Scenes-10i is drawn anew, four times as large.

A network sees 97 pixels a side. A figure shows the same scene, whose objects are vectors, under
what the network said of it; any other picture is enlarged smoothly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor

from fsslib.data.benchmark import Sample
from fsslib.data.episode import Episode
from fsslib.data.scenes.scene import Scene, render_scene

Picture = Tensor | np.ndarray
Pixels = UInt8[np.ndarray, "h w 3"]
Labels = Shaped[np.ndarray, "h w"]
Address = tuple[str, int, int]

SIDE = 388
"""Pixels that a picture is enlarged to, about: what two inches of a good screen show."""

SMALLEST_SMOOTH = 24
"""Smaller pictures are enlarged by repeating: there the pixels are what is to be seen."""

_ADDRESSES: dict[bytes, Address] = {}
_ID = re.compile(r"(\w[\w-]*)/(\d+)/(\d+)")
_ALIKE = 24.0  # mean difference, of 255, up to which two renderings are the same scene


def to_array(picture: Picture) -> np.ndarray:
    """A (3,h,w) or (h,w,3) picture as (h,w,3), a (h,w) map as it is; always NumPy on the CPU."""
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[-1] != 3:
        array = array.transpose(1, 2, 0)
    return array


def recognise(pictures: Episode | Iterable[Scene | Sample]) -> None:
    """Remember which scenes these pictures show, so that figures draw them sharply from here on.

    Args:
        pictures: an episode, or a batch, of Scenes-10i (others are left as they are), or scenes, or
            samples of the benchmark.
    """
    single = isinstance(pictures, Episode)
    for image, name in _of_episode(pictures) if single else map(_of_scene, pictures):
        if match := _ID.fullmatch(str(name)):
            address = match[1], int(match[2]), int(match[3])
            _ADDRESSES[_digest(to_array(image))] = address


def enlarged(picture: Picture) -> Pixels:
    """The picture in about `SIDE` pixels: a known scene drawn anew, any other one smoothly."""
    pixels = to_array(picture)
    factor = _factor(pixels.shape)
    address = _ADDRESSES.get(_digest(pixels)) if factor > 1 else None
    if address is not None and pixels.shape[0] == pixels.shape[1]:
        scene = _rendered(address, factor * len(pixels))
        small = np.asarray(Image.fromarray(scene).resize(pixels.shape[:2], Image.Resampling.BOX))
        if np.abs(small.astype(float) - pixels).mean() < _ALIKE:
            return scene
    return _resized(pixels, factor, Image.Resampling.LANCZOS)


def enlarged_labels(labels: Picture) -> Labels:
    """A label map enlarged as its picture is, with smooth contours instead of stairs."""
    small = to_array(labels).astype(np.uint8)
    factor, values = _factor(small.shape), np.unique(small)
    if factor == 1 or max(small.shape) < SMALLEST_SMOOTH:
        return small.repeat(factor, 0).repeat(factor, 1)
    weights = [
        _resized((255 * (small == value)).astype(np.uint8), factor, Image.Resampling.BILINEAR)
        for value in values
    ]
    return values[np.argmax(weights, 0)]


def _factor(shape: tuple[int, ...]) -> int:
    return max(1, round(SIDE / max(shape[:2])))


def _resized(pixels: np.ndarray, factor: int, how: Image.Resampling) -> np.ndarray:
    height, width = (factor * length for length in pixels.shape[:2])
    if max(pixels.shape[:2]) < SMALLEST_SMOOTH:
        how = Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), how))


def _of_episode(episode: Episode) -> Iterator[tuple[Picture, str]]:
    for one in episode if episode.batched else [episode]:
        yield from zip([one.query_image, *one.support_images.flatten(0, 1)], one.ids, strict=False)


def _of_scene(scene: Scene | Sample) -> tuple[Picture, str]:
    if isinstance(scene, Sample):
        return scene.image, scene.id
    return scene.image, f"{scene.plan.split}/{scene.plan.seed}/{scene.plan.index}"


def _digest(pixels: np.ndarray) -> bytes:
    return blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()


@lru_cache(maxsize=160)
def _rendered(address: Address, size: int) -> Pixels:
    return render_scene(*address, size).image
