"""The batch of a step, in parts: what gradient accumulation and several processes learn from.

A step's batch is cut into parts of equal size, one after the other; with one part a step is what it
always was. A dataset either gives single items, which are put together here, or the whole batch of
a step, which is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate


def require_parts(batch_size: int, accumulate: int) -> None:
    """ValueError where a batch cannot be cut into so many equal parts."""
    if batch_size % accumulate:
        raise ValueError(
            f"accumulate={accumulate}: batch_size={batch_size} does not divide into so many equal "
            "parts; choose a divisor of it"
        )


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
    """A step's batch to parts; without `cut` it stays whole, and more parts are refused."""

    parts: int
    cut: Callable[[Any, int], Sequence[Any]] | None = None

    def __call__(self, batch: Any) -> list[Any]:
        if self.parts == 1:
            return [batch]
        if self.cut is None:
            raise ValueError(
                f"a batch in {self.parts} parts: this loss compares all pictures of a batch with "
                "each other, so that parts would be another loss; use one process, accumulate=1"
            )
        return list(self.cut(batch, self.parts))


def item_loader(
    items: Dataset,
    batch_size: int,
    parts: int = 1,
    workers: int = 0,
    device: torch.device | str = "cpu",
    join: Callable[[Sequence[Any]], Any] = default_collate,
) -> DataLoader:
    """For each step the parts of its `batch_size` items, which come in order."""
    return _loader(items, batch_size, Collate(parts, join), workers, device, drop_last=True)


def batch_loader(
    batches: Dataset,
    parts: int = 1,
    workers: int = 0,
    device: torch.device | str = "cpu",
    cut: Callable[[Any, int], Sequence[Any]] | None = None,
) -> DataLoader:
    """For each step the parts of batch number `step`."""
    return _loader(batches, None, Cut(parts, cut), workers, device)


def _loader(
    dataset: Dataset,
    batch_size: int | None,
    collate: Callable[[Any], list[Any]],
    workers: int,
    device: torch.device | str,
    **options: Any,
) -> DataLoader:
    return DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.device(device).type == "cuda",
        persistent_workers=workers > 0,
        # Its own generator: a DataLoader would otherwise draw from torch's, which a resumed
        # run restores, and dropout would differ from then on.
        generator=torch.Generator(),
        **options,
    )
