"""Pictures of the base classes, for the base learner of BAM and HDMNet.

Each is an episode of its own: all base classes are in question at once, and there is no support
(N-way, 0-shot), so that loading, training and scoring are those of every other method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.loading import EpisodeStream
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit, EpisodeSpec


def picture_specs(
    benchmark: Benchmark, protocol: Protocol, split: Split, count: int | None = None
) -> list[EpisodeSpec]:
    """The first `count` pictures of a split that hold a trained class.

    In the train split, pictures with novel objects are left out under `novel_in_train="drop"`.
    """
    parts, areas = ClassSplit.of(benchmark, protocol), benchmark.areas(split)
    selected = _shows(areas, parts.train)
    if split == "train" and protocol.novel_in_train == "drop":
        selected &= ~_shows(areas, parts.unseen)
    none = tuple(() for _ in parts.train)
    chosen = np.flatnonzero(selected)[:count]
    return [EpisodeSpec(split, int(index), parts.train, none) for index in chosen]


class BasePictures(EpisodeStream):
    """Every epoch shows all pictures of the train split in an order of its own."""

    def __init__(
        self, benchmark: Benchmark, protocol: Protocol, *settings: Any, **more: Any
    ) -> None:
        super().__init__(benchmark, protocol, *settings, **more)
        self.specs = picture_specs(benchmark, protocol, "train")
        if not self.specs:
            raise ValueError(
                f"no picture of {benchmark.name} train holds base classes only; "
                "novel_in_train='background' keeps those with novel objects"
            )

    def draw(self, number: int) -> tuple[EpisodeSpec, np.random.Generator]:
        epoch, place = divmod(number, len(self.specs))
        order = np.random.default_rng([self.seed, 5, epoch]).permutation(len(self.specs))
        return self.specs[order[place]], np.random.default_rng([self.seed, 4, number])


def _shows(areas: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Which images hold any of the classes."""
    return (areas[:, np.asarray(classes, int) - 1] > 0).any(1)
