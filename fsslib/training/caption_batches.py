"""Batches of pictures and captions.

A batch is a pure function of (seed, step): which pictures, which of their captions, and whether
they are mirrored. That is what makes a killed run go on exactly. No two captions in a batch are
the same as long as the pictures have others to offer, for the loss would call one of them wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import resize

from fsslib.training.captioned import Captioned, mirrored

_TRIES = 4


class Batches(Dataset):
    """Batch number `step` -> pictures (batch, 3, size, size) uint8, tokens (batch, length).

    Args:
        size: of step -> side of its pictures in pixels.
        single_steps: the first steps show single objects, one picture of each class, with simple
            captions: none of them fits another picture, and naming is all there is to learn.
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
        flip: bool = True,
        begin: int = 0,
    ) -> None:
        if len(pictures) < batch_size:
            raise ValueError(f"batch_size={batch_size}, but there are {len(pictures)} pictures")
        self.pictures, self.tokenize, self.flip = pictures, tokenize, flip
        self.batch_size, self.steps, self.begin = batch_size, steps, begin
        self.size, self.seed, self.single_steps = size, seed, single_steps
        self.singles = pictures.singles() if single_steps > begin else []
        if single_steps > begin and len(self.singles) < 2:
            raise ValueError(
                f"single_steps={single_steps}, but the pictures are not known by class; use 0"
            )

    def __len__(self) -> int:
        return self.steps - self.begin

    def __getitem__(self, offset: int) -> tuple[Tensor, Tensor]:
        if offset >= len(self):
            raise IndexError(offset)
        step = self.begin + offset
        rng = np.random.default_rng((self.seed, step))
        images, texts = [], set[str]()
        captions = []
        for index in self._indices(step, rng):
            text = self._new_caption(index, rng, texts, step < self.single_steps)
            image = self.pictures.image(index)
            if self.flip and rng.random() < 0.5:
                image, text = image[:, ::-1], mirrored(text)
            texts.add(text)
            captions.append(text)
            images.append(image)
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        size = self.size(step)
        if stacked.shape[-1] != size:
            stacked = resize(stacked, [size, size], antialias=True)
        return stacked.contiguous(), self.tokenize(captions)

    def wordings(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`count` times the tokens of two captions of each picture of a batch."""
        simple = bool(self.singles)
        for number in range(count):
            rng = np.random.default_rng((self.seed, number, 2))
            indices = self._indices(self.begin, rng) if simple else self._indices(number, rng)
            pair = [[self.pictures.caption(i, rng, simple) for i in indices] for _ in range(2)]
            yield self.tokenize(pair[0]), self.tokenize(pair[1])

    def _indices(self, step: int, rng: np.random.Generator) -> list[int]:
        """Pictures of a step: every epoch goes through all of them in an order of its own."""
        if step < self.single_steps:
            return [indices[int(rng.integers(len(indices)))] for indices in self.singles]
        per_epoch = len(self.pictures) // self.batch_size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((self.seed, epoch, 1)).permutation(len(self.pictures))
        return order[place * self.batch_size : (place + 1) * self.batch_size].tolist()

    def _new_caption(
        self, index: int, rng: np.random.Generator, used: set[str], simple: bool
    ) -> str:
        for _ in range(_TRIES):
            text = self.pictures.caption(index, rng, simple)
            if text not in used:
                break
        return text
