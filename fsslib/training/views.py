"""Random views of pictures, in batches: crops, flips and MoCo-v2's colours.

What a view looks like is drawn on the CPU as plain numbers (`draw`), from a generator that belongs
to the step; making it (`render`) has no randomness left and runs wherever the pictures are. So a
batch is a function of its step, and a resumed training sees what it would have seen.

Crops are torchvision's RandomResizedCrop, not rounded to pixels, cut by `roi_align`: bilinear when
enlarging, the mean of a grid of samples when shrinking (Pillow's antialiasing weights differ a
little).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from torchvision.ops import roi_align

from fsslib.training.colour import blur, grey, jitter

RATIO = (3 / 4, 4 / 3)
_TRIES = 10


@dataclass(frozen=True)
class ViewConfig:
    """MoCo-v2's chain: crop, jitter, grey, blur, flip."""

    size: int = 224
    scale: tuple[float, float] = (0.2, 1.0)
    """Of the crop, in parts of the region's area."""
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    """Largest change of brightness, contrast, saturation and hue."""
    jitter_share: float = 0.8
    grey_share: float = 0.2
    blur_share: float = 0.5
    blur: tuple[float, float] = (0.1, 2.0)
    """Deviation in pixels of the view."""
    flip_share: float = 0.5


class Views(NamedTuple):
    """How n views are to be made."""

    boxes: Float[Tensor, "n 4"]
    """x0, y0, x1, y1 in the picture."""
    flipped: Bool[Tensor, " n"]
    factors: Float[Tensor, "n 4"]
    order: Int[Tensor, "n 4"]
    """Of the four changes of colour; -1 where there is none."""
    grey: Bool[Tensor, " n"]
    sigma: Float[Tensor, " n"]
    """Of the blur; 0 for none."""

    def to(self, device: str | torch.device) -> Views:
        """On a device, but for what says which views are changed at all: choosing them there would
        make the host wait for the device, sixteen times a view."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("boxes", "flipped", "factors", "grey")
        }
        return self._replace(**moved)


def draw(
    rng: np.random.Generator, regions: Float32[np.ndarray, "n 4"], config: ViewConfig
) -> Views:
    """One random view of each region (x0, y0, x1, y1)."""
    n, strength = len(regions), np.array(config.jitter)
    low = np.append(np.maximum(1 - strength[:3], 0), -strength[3])
    factors = rng.uniform(low, np.append(1 + strength[:3], strength[3]), (n, 4))
    order = rng.permuted(np.tile(np.arange(4), (n, 1)), axis=1)
    order[rng.random(n) >= config.jitter_share] = -1
    sigma = rng.uniform(*config.blur, n) * (rng.random(n) < config.blur_share)
    return Views(
        torch.from_numpy(random_boxes(rng, regions, config.scale)),
        torch.from_numpy(rng.random(n) < config.flip_share),
        torch.from_numpy(factors.astype(np.float32)),
        torch.from_numpy(order),
        torch.from_numpy(rng.random(n) < config.grey_share),
        torch.from_numpy(sigma.astype(np.float32)),
    )


def random_boxes(
    rng: np.random.Generator, regions: Float32[np.ndarray, "n 4"], scale: tuple[float, float]
) -> Float32[np.ndarray, "n 4"]:
    """RandomResizedCrop inside each region: the first of ten draws that fits.

    Where none fits, the largest box in the middle whose shape is allowed.
    """
    n, corner, sides = len(regions), regions[:, :2], regions[:, 2:] - regions[:, :2]
    area = sides.prod(1)[:, None] * rng.uniform(*scale, (n, _TRIES))
    shape = np.exp(rng.uniform(log(RATIO[0]), log(RATIO[1]), (n, _TRIES)))
    tries = np.stack([np.sqrt(area * shape), np.sqrt(area / shape)], -1)  # width, height
    fits = (tries <= sides[:, None]).all(-1)
    chosen = np.take_along_axis(tries, fits.argmax(1)[:, None, None], 1)[:, 0]
    start = rng.random((n, 2)) * (sides - chosen)
    middle = np.minimum(sides, sides[:, ::-1] * np.array([RATIO[1], 1 / RATIO[0]]))
    missed = ~fits.any(1)
    chosen[missed], start[missed] = middle[missed], ((sides - middle) / 2)[missed]
    return np.concatenate([corner + start, corner + start + chosen], 1).astype(np.float32)


def crop(
    pictures: Float[Tensor, "b c h w"],
    owners: Int[Tensor, " n"],
    boxes: Float[Tensor, "n 4"],
    size: int,
) -> Float[Tensor, "n c {size} {size}"]:
    """Boxes of the pictures with the numbers `owners`, resized to `size`."""
    rois = torch.cat([owners[:, None].to(boxes.dtype), boxes], 1)
    return roi_align(pictures, rois, size, aligned=True)


def flip(views: Float[Tensor, "n c h w"], flipped: Bool[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Left and right exchanged where `flipped`."""
    return torch.where(flipped.view(-1, 1, 1, 1), views.flip(-1), views)


def recolour(crops: Float[Tensor, "n 3 h w"], views: Views) -> Float[Tensor, "n 3 h w"]:
    """What comes after the crop: jitter, grey, blur, flip. Values in 0..1."""
    crops = jitter(crops, views.factors, views.order)
    return flip(blur(grey(crops, views.grey), views.sigma), views.flipped)
