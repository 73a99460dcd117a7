"""DINO's views of a picture: two large crops and some small ones, each coloured differently."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from fsslib.training.pretraining.crops import Pictures, chosen
from fsslib.training.pretraining.dino_recipe import DinoConfig

GLOBAL, LOCAL = (0.4, 1.0), (0.1, 0.4)
"""Shares of the picture; local crops are 0.05 to 0.4 in the paper, of larger pictures."""


def view(size: int, share: tuple[float, float], blur: float, solarize: float) -> v2.Transform:
    """The paper's augmentation: crop, mirror, jitter, grey, blur, solarize."""
    kernel = max(3, size // 10 // 2 * 2 + 1)
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, share, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(kernel, (0.1, 2.0))], blur),
            v2.RandomSolarize(128, solarize),
        ]
    )


class Views(Dataset):
    """Views of step `begin` and later: (2,b,3,s,s) and (locals,b,3,s/2,s/2), uint8.

    A function of (seed, step): torch's generator is set from them, and put back.
    """

    def __init__(self, pictures: Pictures, config: DinoConfig, begin: int = 0) -> None:
        self.pictures, self.config, self.begin = pictures, config, begin

    def __len__(self) -> int:
        return self.config.steps - self.begin

    def __getitem__(self, offset: int) -> tuple[Tensor, Tensor]:
        if offset >= len(self):
            raise IndexError(offset)
        config, step = self.config, self.begin + offset
        size = config.size_at(step)
        first, second = view(size, GLOBAL, 1.0, 0.0), view(size, GLOBAL, 0.1, 0.2)
        small = view(size // 2, LOCAL, 0.5, 0.0)
        numbers = chosen(len(self.pictures), config.batch_size, config.seed, step)
        images = [torch.from_numpy(self.pictures.image(n).copy()).permute(2, 0, 1) for n in numbers]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed * 1_000_003 + step)
            large = torch.stack([seen(images, first), seen(images, second)])
            local = torch.stack([seen(images, small) for _ in range(config.local_crops)])
        return large, local


def seen(images: list[Tensor], transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Each picture, transformed by itself."""
    return torch.stack([transform(image) for image in images])
