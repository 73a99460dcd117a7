"""Batches of pictures and captions.

A batch is a pure function of (seed, step): which pictures, which of their captions, and whether
they are mirrored. That is what makes a killed run go on exactly. No two captions in a batch are
the same as long as the pictures have others to offer, for the loss would call one of them wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import resize

from fsslib.training.pretraining.captioned import Captioned, mirrored

_TRIES = 4


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
        images: (batch, 3, size, size) uint8.
        tokens: (batch, length), a caption of each.
        names: (classes, length), a caption of each class by itself; none before `naming_from`.
        shown: (batch, classes), which picture shows which of them.
    """

    images: Tensor
    tokens: Tensor
    names: Tensor
    shown: Tensor


class Batches(Dataset):
    """Batch number `step`, for every step from `begin` on.

    Args:
        size: of step -> side of its pictures in pixels.
        single_steps: the first steps show single objects, one picture of each class, and only name
            them: no caption fits another picture, and naming is all there is to learn.
        naming_from: from this step on, classes are also named by themselves. A caption of a whole
            scene is told from 127 others by any one of its objects; this makes each of them count.
        flip: mirror half of the pictures, and swap "left" and "right" in their captions.
        begin: the first step to be asked for.
    """

    def __init__(
        self,
        pictures: Captioned,
        tokenize: Callable[[Sequence[str]], Int64[Tensor, "texts length"]],
        batch_size: int,
        steps: int,
        size: Callable[[int], int],
        seed: int = 0,
        single_steps: int = 0,
        naming_from: int = 0,
        flip: bool = True,
        begin: int = 0,
    ) -> None:
        if len(pictures) < batch_size:
            raise ValueError(f"batch_size={batch_size}, but there are {len(pictures)} pictures")
        self.pictures, self.tokenize, self.flip = pictures, tokenize, flip
        self.batch_size, self.steps, self.begin = batch_size, steps, begin
        self.size, self.seed, self.single_steps = size, seed, single_steps
        self.naming_from = naming_from
        self.singles = pictures.singles() if single_steps > begin else {}
        if single_steps > begin and len(self.singles) < 2:
            raise ValueError(
                f"single_steps={single_steps}, but the pictures are not known by class; use 0"
            )

    def __len__(self) -> int:
        return self.steps - self.begin

    def __getitem__(self, offset: int) -> Batch:
        if offset >= len(self):
            raise IndexError(offset)
        step = self.begin + offset
        rng = np.random.default_rng((self.seed, step))
        images, captions = [], []
        chosen = self._chosen(step, rng)
        for index, only in chosen:
            text = self._new_caption(index, rng, captions, only)
            image = self.pictures.image(index)
            if self.flip and rng.random() < 0.5:
                image, text = image[:, ::-1], mirrored(text)
            captions.append(text)
            images.append(image)
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        size = self.size(step)
        if stacked.shape[-1] != size:
            stacked = resize(stacked, [size, size], antialias=True)
        tokens = self.tokenize(captions)
        naming = step >= max(self.naming_from, self.single_steps)
        indices = [index for index, _ in chosen] if naming else []
        return Batch(stacked.contiguous(), tokens, *self._named(indices, tokens, rng))

    def wordings(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`count` times the tokens of two captions of each picture of a batch."""
        for number in range(count):
            rng = np.random.default_rng((self.seed, number, 2))
            chosen = self._chosen(self.begin if self.singles else number, rng)
            pair = [[self.pictures.caption(i, rng, only) for i, only in chosen] for _ in range(2)]
            yield self.tokenize(pair[0]), self.tokenize(pair[1])

    def _chosen(self, step: int, rng: np.random.Generator) -> list[tuple[int, str | None]]:
        """Pictures of a step, and the class that a caption is about, if it is about one."""
        if step < self.single_steps:
            return [
                (indices[int(rng.integers(len(indices)))], name)
                for name, indices in self.singles.items()
            ]
        # Every epoch goes through all pictures in an order of its own.
        per_epoch = len(self.pictures) // self.batch_size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((self.seed, epoch, 1)).permutation(len(self.pictures))
        indices = order[place * self.batch_size : (place + 1) * self.batch_size]
        return [(index, None) for index in indices.tolist()]

    def _named(
        self, indices: list[int], tokens: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Captions of the classes that pictures `indices` show, and which shows which."""
        shown = [set(self.pictures.names(index)) for index in indices]
        classes = sorted(set().union(*shown))
        if not classes:
            return tokens[:0], torch.zeros(len(tokens), 0, dtype=torch.bool)
        names = [self.pictures.caption(indices[0], rng, only=name) for name in classes]
        table = [[name in of_picture for name in classes] for of_picture in shown]
        return self.tokenize(names), torch.tensor(table)

    def _new_caption(
        self, index: int, rng: np.random.Generator, used: list[str], only: str | None
    ) -> str:
        for _ in range(_TRIES):
            text = self.pictures.caption(index, rng, only)
            if text not in used:
                break
        return text
