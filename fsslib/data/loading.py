"""From episode numbers to tensors: the datasets behind the DataLoaders.

A `DataLoader` over one of these gives the same batches with any number of workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fsslib.data.augmentation import Augmentation
from fsslib.data.benchmark import Benchmark
from fsslib.data.drawn import DrawnEpisode, DrawnEpisodes, collate
from fsslib.data.episode import Episode
from fsslib.data.protocol import Protocol
from fsslib.data.reader import EpisodeReader
from fsslib.data.sampler import ClassSplit, EpisodeSampler, EpisodeSpec


class ListedEpisodes(Dataset):
    """A fixed list of episodes, for testing."""

    def __init__(self, reader: EpisodeReader, specs: Sequence[EpisodeSpec]) -> None:
        self.reader, self.specs = reader, list(specs)

    def __len__(self) -> int:
        return len(self.specs)

    def __getitem__(self, number: int) -> Episode:
        return self.reader.read(self.specs[number])


class EpisodeStream(Dataset, ABC):
    """An endless stream for training; number i is a function of (seed, i) alone.

    `length` episodes from number `start` on: resuming a run means starting at its position.
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
        hidden = protocol.novel_in_train == "ignore"
        hide = ClassSplit.of(benchmark, protocol).unseen if hidden else ()
        self.reader, self.augmentation = EpisodeReader(benchmark, protocol, hide), augmentation
        self.length, self.seed, self.start = length, seed, start

    @abstractmethod
    def draw(self, number: int) -> tuple[EpisodeSpec, np.random.Generator]:
        """Episode `number`, and the generator that its augmentation goes on with."""

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, offset: int) -> Episode:
        episode = self.load(offset)
        return episode if isinstance(episode, Episode) else episode.render()

    def __getitems__(self, offsets: Sequence[int]) -> list[Episode | DrawnEpisode]:
        """What a DataLoader asks for: an augmented batch is rendered where it is used."""
        return [self.load(offset) for offset in offsets]

    def load(self, offset: int) -> Episode | DrawnEpisode:
        """An episode, whose pixels are still to be made if it is augmented."""
        number = self.start + offset
        if not self.start <= number < self.length:
            raise IndexError(f"training episode {number} of {self.length}")
        spec, rng = self.draw(number)
        if self.augmentation is None:
            return self.reader.read(spec)
        return self.reader.draw(spec, self.augmentation, rng)


class TrainingEpisodes(EpisodeStream):
    """Few-shot episodes of the trained classes."""

    def __init__(
        self, benchmark: Benchmark, protocol: Protocol, *settings: Any, **more: Any
    ) -> None:
        super().__init__(benchmark, protocol, *settings, **more)
        split = ClassSplit.of(benchmark, protocol)
        drop = split.unseen if protocol.novel_in_train == "drop" else ()
        self.sampler = EpisodeSampler(benchmark, protocol, "train", split.train, excluded=drop)

    def draw(self, number: int) -> tuple[EpisodeSpec, np.random.Generator]:
        rng = np.random.default_rng([self.seed, 2, number])
        sampler = self.sampler
        if sampler.protocol.sampling == "image_first":
            return sampler.image_first(int(rng.integers(len(sampler.queries))), rng), rng
        return sampler.balanced(int(rng.integers(len(sampler.classes))), rng), rng


def batches(
    episodes: Dataset, batch_size: int, workers: int = 0, device: str = "cpu"
) -> Iterator[Episode]:
    """Batches of episodes in order, on `device`; augmented ones are rendered there."""
    loader = DataLoader(
        episodes,
        batch_size,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.startswith("cuda"),
        worker_init_fn=_one_thread if workers else None,
        # Its own generator: a DataLoader would otherwise draw from torch's, which a resumed
        # run restores, and dropout would differ from then on.
        generator=torch.Generator(),
    )
    for batch in loader:
        yield on_device(batch, device)


def on_device(batch: Episode | DrawnEpisodes, device: torch.device | str) -> Episode:
    """A batch where it is learned from; an augmented one gets its pixels there."""
    return batch.to(device) if isinstance(batch, Episode) else batch.render(device)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
