"""From episode numbers to tensors: the datasets behind the DataLoaders.

A `DataLoader` over one of these gives the same batches with any number of workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fsslib.data.benchmark import Benchmark
from fsslib.data.episode import IGNORE, Episode, stack
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit, EpisodeSampler, EpisodeSpec
from fsslib.data.transforms import Augmentation, fit_square


class EpisodeReader:
    """Turns an `EpisodeSpec` into an `Episode` under a protocol.

    Args:
        hidden: classes whose pixels become 255 in training (`novel_in_train="ignore"`).
        augmentation: drawn anew for the query and each support; None for tests.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        protocol: Protocol,
        hidden: Sequence[int] = (),
        augmentation: Augmentation | None = None,
    ) -> None:
        self.benchmark, self.protocol = benchmark, protocol
        self.hidden, self.augmentation = tuple(hidden), augmentation

    def read(self, spec: EpisodeSpec, rng: np.random.Generator | None = None) -> Episode:
        """Load, relabel and resize; `rng` feeds the augmentation."""
        image, label, name = self._load(spec, spec.query, spec.classes)
        query_image, query_mask = self._resize(image, label, rng)
        ids, images, masks = [name], [], []
        for class_id, supports in zip(spec.classes, spec.supports, strict=True):
            # An episode's other class is no background: a support says nothing there.
            others = tuple(c for c in spec.classes if c != class_id)
            for index in supports:
                support, mask, name = self._load(spec, index, (class_id,), others)
                support, mask = self._resize(support, mask, rng)
                images.append(support), masks.append(mask), ids.append(name)
        way, shots, size = len(spec.classes), len(spec.supports[0]), query_mask.shape
        return Episode(
            query_image=query_image,
            query_mask=query_mask,
            support_images=_stacked(images, (way, shots, 3, *size)),
            support_masks=_stacked(masks, (way, shots, *size)),
            class_ids=torch.tensor(spec.classes),
            class_names=tuple(self.benchmark.name_of(c) for c in spec.classes),
            ids=tuple(ids),
            original_mask=label if self.augmentation is None else None,
            query_classes=self._query_classes(spec),
        )

    def _query_classes(self, spec: EpisodeSpec) -> tuple[str, ...]:
        """All classes in the query, for methods that are allowed to know (`query_labels`)."""
        if self.protocol.query_labels == "none":
            return ()
        areas = self.benchmark.areas(spec.split)[spec.query]
        return tuple(self.benchmark.name_of(int(c) + 1) for c in np.flatnonzero(areas))

    def _load(
        self, spec: EpisodeSpec, index: int, classes: Sequence[int], others: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, str]:
        sample = self.benchmark.load(spec.split, index)
        image = torch.from_numpy(sample.image).permute(2, 0, 1).contiguous()
        mask = relabel(sample.label, classes, (*self.hidden, *others))
        return image, torch.from_numpy(mask), sample.id

    def _resize(
        self, image: Tensor, mask: Tensor, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        size = self.protocol.image_size
        if self.augmentation is not None and rng is not None:
            return self.augmentation(image, mask, size, rng)
        return fit_square(image, mask, size, self.protocol.fit)


def _stacked(parts: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Parts in order as one tensor; none of them where there is no support."""
    return torch.stack(parts).view(*shape) if parts else torch.zeros(shape, dtype=torch.uint8)


def relabel(label: np.ndarray, classes: Sequence[int], hidden: Sequence[int] = ()) -> np.ndarray:
    """Global label map (h,w) to an episode's: j+1 for classes[j], 255 stays, the rest is 0.

    Pixels of `hidden` classes become 255.
    """
    table = np.zeros(256, np.uint8)
    table[list(hidden)] = IGNORE
    for j, class_id in enumerate(classes):
        table[class_id] = j + 1
    table[IGNORE] = IGNORE
    return table[label]


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
        self.reader = EpisodeReader(benchmark, protocol, hide, augmentation)
        self.length, self.seed, self.start = length, seed, start

    @abstractmethod
    def draw(self, number: int) -> tuple[EpisodeSpec, np.random.Generator]:
        """Episode `number`, and the generator that its augmentation goes on with."""

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, offset: int) -> Episode:
        number = self.start + offset
        if not self.start <= number < self.length:
            raise IndexError(f"training episode {number} of {self.length}")
        return self.reader.read(*self.draw(number))


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
    """Batches of episodes in order, moved to `device`."""
    loader = DataLoader(
        episodes,
        batch_size,
        num_workers=workers,
        collate_fn=stack,
        pin_memory=device.startswith("cuda"),
        worker_init_fn=_one_thread if workers else None,
        # Its own generator: a DataLoader would otherwise draw from torch's, which a resumed
        # run restores, and dropout would differ from then on.
        generator=torch.Generator(),
    )
    for batch in loader:
        yield batch.to(device)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
