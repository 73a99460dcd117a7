"""The batch of a step, in parts: what gradient accumulation and several processes learn from.

A step's batch is cut into parts of equal size, one after the other; with one part a step is what it
always was. Several processes take the parts in turn. A dataset either gives single items, which are
put together here, and a process loads its own only; or the whole batch of a step, which is cut,
because what is random about it is drawn for all pictures together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from fsslib.training.processes import ALONE, Share
from fsslib.training.rules import COMPARES, require_parts


@dataclass(frozen=True)
class OwnItems(Sampler):
    """For each step the numbers of this process's items: those of its parts, in order."""

    count: int
    batch_size: int
    parts: int
    share: Share

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        size = self.batch_size // self.parts
        for step in range(len(self)):
            begins = range(step * self.batch_size, (step + 1) * self.batch_size, size)
            yield [begin + i for begin in self.share.part(begins) for i in range(size)]


@dataclass(frozen=True)
class Collate:
    """Items to parts: `parts` lists of equal length, each put together by `join`."""

    parts: int
    join: Callable[[Sequence[Any]], Any]

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        require_parts(len(items), self.parts)
        size = len(items) // self.parts
        return [self.join(items[i * size : (i + 1) * size]) for i in range(self.parts)]


@dataclass(frozen=True)
class Cut:
    """A step's batch to this process's parts; without `cut` it stays whole, and more parts are
    refused."""

    parts: int
    cut: Callable[[Any, int], Sequence[Any]] | None = None
    share: Share = ALONE

    def __call__(self, batch: Any) -> list[Any]:
        if self.parts == 1:
            return [batch]
        if self.cut is None:
            raise ValueError(
                f"a batch in {self.parts} parts: {COMPARES}; use one process, accumulate=1"
            )
        return self.share.part(list(self.cut(batch, self.parts)))


def item_loader(
    items: Dataset,
    batch_size: int,
    parts: int = 1,
    workers: int = 0,
    device: torch.device | str = "cpu",
    join: Callable[[Sequence[Any]], Any] = default_collate,
    share: Share = ALONE,
) -> DataLoader:
    """For each step the parts of its `batch_size` items, which come in order.

    Args:
        parts: of the whole batch, all processes' together.
        share: whose parts they are.
    """
    require_parts(batch_size, parts)
    own = OwnItems(len(items), batch_size, parts, share)
    return _loader(items, Collate(parts // share.of, join), workers, device, batch_sampler=own)


def batch_loader(
    batches: Dataset,
    parts: int = 1,
    workers: int = 0,
    device: torch.device | str = "cpu",
    cut: Callable[[Any, int], Sequence[Any]] | None = None,
    share: Share = ALONE,
) -> DataLoader:
    """For each step the parts of batch number `step`; `parts` and `share` as for items."""
    return _loader(batches, Cut(parts, cut, share), workers, device, batch_size=None)


def _loader(
    dataset: Dataset,
    collate: Callable[[Any], list[Any]],
    workers: int,
    device: torch.device | str,
    **options: Any,
) -> DataLoader:
    return DataLoader(
        dataset,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.device(device).type == "cuda",
        persistent_workers=workers > 0,
        # Its own generator: a DataLoader would otherwise draw from torch's, which a resumed
        # run restores, and dropout would differ from then on.
        generator=torch.Generator(),
        **options,
    )
