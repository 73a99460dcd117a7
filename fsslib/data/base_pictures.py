"""Pictures of the base classes, for the base learner of BAM and HDMNet.

Each is an episode of its own: all base classes are in question at once, and there is no support
(N-way, 0-shot), so that loading, training and scoring are those of every other method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.episode import Episode
from fsslib.data.loading import EpisodeReader
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit, EpisodeSpec
from fsslib.data.transforms import Augmentation


def picture_specs(
    benchmark: Benchmark, protocol: Protocol, split: Split, count: int | None = None
) -> list[EpisodeSpec]:
    """The first `count` pictures of a split that hold a trained class.

    In the train split, pictures with novel objects are left out under `novel_in_train="drop"`.
    """
    parts, areas = ClassSplit.of(benchmark, protocol), benchmark.areas(split)
    kept = _shows(areas, parts.train)
    if split == "train" and protocol.novel_in_train == "drop":
        kept &= ~_shows(areas, parts.novel + parts.held_out)
    none = tuple(() for _ in parts.train)
    chosen = np.flatnonzero(kept)[:count]
    return [EpisodeSpec(split, int(index), parts.train, none) for index in chosen]


class BasePictures(Dataset):
    """An endless stream of them; number i is a function of (seed, i) alone.

    `length` pictures from number `start` on: resuming a run means starting at its position. Every
    epoch shows all pictures of the train split in an order of its own.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        protocol: Protocol,
        length: int,
        seed: int,
        start: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.specs = picture_specs(benchmark, protocol, "train")
        if not self.specs:
            raise ValueError(
                f"no picture of {benchmark.name} train holds base classes only; "
                "novel_in_train='background' keeps those with novel objects"
            )
        parts = ClassSplit.of(benchmark, protocol)
        hidden = parts.novel + parts.held_out if protocol.novel_in_train == "ignore" else ()
        self.reader = EpisodeReader(benchmark, protocol, hidden, augmentation)
        self.length, self.seed, self.start = length, seed, start

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, offset: int) -> Episode:
        number = self.start + offset
        if not self.start <= number < self.length:
            raise IndexError(f"training picture {number} of {self.length}")
        epoch, place = divmod(number, len(self.specs))
        order = np.random.default_rng([self.seed, 5, epoch]).permutation(len(self.specs))
        rng = np.random.default_rng([self.seed, 4, number])
        return self.reader.read(self.specs[order[place]], rng)


def _shows(areas: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Which images hold any of the classes."""
    return (areas[:, np.asarray(classes, int) - 1] > 0).any(1)
