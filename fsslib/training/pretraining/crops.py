"""Pictures without any annotation, for trainings that need none: crops, a function of their step.

What a step sees depends on (seed, step) alone, so that a killed run goes on exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import adjust_brightness, resize

from fsslib.data.pictures import read_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Pictures(Protocol):
    """Pictures by number; an album of scenes is one such."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]: ...


class PictureFolder:
    """Some of the pictures below a folder, drawn once and without repetition.

    CLIP-DINOiser learns from 1,000 pictures of ImageNet; its code draws with repetition.

    Raises:
        ValueError: no picture there.
    """

    def __init__(self, folder: Path | str, count: int = 1000, seed: int = 0) -> None:
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{folder} holds no picture; expected some of {', '.join(SUFFIXES)}")
        order = np.random.default_rng(seed).permutation(len(paths))[:count]
        self.paths = [paths[i] for i in sorted(order)]

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        return read_image(self.paths[index], "Save it again, or move it away")


def chosen(pictures: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Picture numbers of a step; every epoch has an order of its own, and its last, ragged batch is
    left out."""
    per_epoch = max(pictures // batch_size, 1)
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch, 1)).permutation(pictures)
    return order[place * batch_size : (place + 1) * batch_size].tolist()


class Crops(Dataset):
    """Batch number `step` from `begin` on: squares of `size` pixels, (b,3,size,size) uint8.

    The shorter side is brought to `size`, a square cut out anywhere, half of them mirrored, and
    their brightness multiplied by 1 ± `brightness` (CLIP-DINOiser: 448 pixels, 0.5).
    """

    def __init__(
        self,
        pictures: Pictures,
        size: int,
        batch_size: int,
        steps: int,
        seed: int = 0,
        brightness: float = 0.5,
        begin: int = 0,
    ) -> None:
        if len(pictures) < batch_size:
            raise ValueError(f"batch_size={batch_size}, but there are {len(pictures)} pictures")
        self.pictures, self.size, self.batch_size = pictures, size, batch_size
        self.steps, self.seed, self.brightness, self.begin = steps, seed, brightness, begin

    def __len__(self) -> int:
        return self.steps - self.begin

    def __getitem__(self, offset: int) -> Tensor:
        if offset >= len(self):
            raise IndexError(offset)
        step = self.begin + offset
        rng = np.random.default_rng((self.seed, step, 2))
        numbers = chosen(len(self.pictures), self.batch_size, self.seed, step)
        return torch.stack([self._crop(self.pictures.image(n), rng) for n in numbers])

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> Tensor:
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        if min(image.shape[1:]) != self.size:
            image = resize(image, [self.size], antialias=True)
        top, left = (int(rng.integers(side - self.size + 1)) for side in image.shape[1:])
        image = image[:, top : top + self.size, left : left + self.size]
        if rng.random() < 0.5:
            image = image.flip(-1)
        return adjust_brightness(image, rng.uniform(1 - self.brightness, 1 + self.brightness))
