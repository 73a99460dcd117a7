"""Batches of scenes with image labels: which classes a picture shows, and nothing of where.

A batch is a pure function of (seed, step), which is what makes a killed run go on exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import resize

from fsslib.data.scenes.album import Album
from fsslib.data.scenes.classes import CLASS_NAMES
from fsslib.training.pretraining.backbone_recipe import PretrainConfig

CELL = 8
"""Sides are drawn in steps of this many pixels, the stride of the dilated network."""


class LabelledBatches(Dataset):
    """Batch number `step`, for every step from `begin` on: pictures (b, 3, s, s) in uint8 and which
    of the 40 classes each one shows (b, 40).

    Every epoch goes through the whole album in an order of its own. Half of the pictures are
    mirrored; none is cropped, for a crop may lose an object that its label still names.
    """

    def __init__(self, album: Album, config: PretrainConfig, begin: int = 0) -> None:
        if len(album) < config.batch_size:
            raise ValueError(f"batch_size={config.batch_size}, but the album has {len(album)}")
        self.album, self.config, self.begin = album, config, begin

    def __len__(self) -> int:
        return self.config.steps - self.begin

    def __getitem__(self, offset: int) -> tuple[UInt8[Tensor, "b 3 s s"], Float[Tensor, "b 40"]]:
        if offset >= len(self):
            raise IndexError(offset)
        step = self.begin + offset
        rng = np.random.default_rng((self.config.seed, step))
        chosen = self._chosen(step)
        images = [self.album.image(index) for index in chosen]
        images = [image[:, ::-1] if rng.random() < 0.5 else image for image in images]
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        side = self._side(step, rng)
        if stacked.shape[-1] != side:
            stacked = resize(stacked, [side, side], antialias=True)
        if self.config.colour_jitter:
            stacked = jitter_colours(stacked, self.config.colour_jitter, rng)
        return stacked.contiguous(), self._shown(chosen)

    def _chosen(self, step: int) -> list[int]:
        batch = self.config.batch_size
        epoch, place = divmod(step, len(self.album) // batch)
        if getattr(self, "_epoch", None) != epoch:
            rng = np.random.default_rng((self.config.seed, epoch, 1))
            self._epoch, self._order = epoch, rng.permutation(len(self.album))
        return self._order[place * batch : (place + 1) * batch].tolist()

    def _side(self, step: int, rng: np.random.Generator) -> int:
        """The step's side, varied in whole cells."""
        side, most = self.config.size_at(step), self.config.size_jitter
        return round(side * (1 + most * (2 * rng.random() - 1)) / CELL) * CELL if most else side

    def _shown(self, chosen: list[int]) -> Float[Tensor, "b 40"]:
        shown = torch.zeros(len(chosen), len(CLASS_NAMES))
        for row, index in enumerate(chosen):
            shown[row, [i - 1 for i in self.album.class_ids(index)]] = 1
        return shown


def jitter_colours(
    images: UInt8[Tensor, "b 3 h w"], most: float, rng: np.random.Generator
) -> UInt8[Tensor, "b 3 h w"]:
    """Each picture's contrast about its mean, its brightness and its tint, each by up to `most`
    (the tint by half of it)."""
    draws = torch.from_numpy(rng.uniform(-most, most, (len(images), 5))).float()[:, :, None, None]
    values = images.float()
    centre = values.mean((1, 2, 3), keepdim=True)
    gain = (1 + draws[:, :1]) * (1 + draws[:, 2:] / 2)
    values = (values - centre) * gain + centre * (1 + draws[:, 1:2])
    return values.round_().clamp_(0, 255).to(torch.uint8)
