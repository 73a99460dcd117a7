"""What a benchmark is: named classes, two splits of labelled images, and four folds.

A benchmark only lists and loads. Which images make an episode is the sampler's business, how they
become network inputs the transforms', and both follow the Protocol.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

Split = Literal["train", "val"]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the known ones that look most like it."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(repr(other) for other in near)}?" if near else ""


class BrokenFileError(ValueError):
    """A file of a benchmark is missing or cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class Sample:
    """One labelled image at its own size."""

    image: UInt8[np.ndarray, "h w 3"]
    label: UInt8[np.ndarray, "h w"]
    """0 background, class ids from 1, 255 ignore."""
    id: str


class Benchmark(ABC):
    """Images with pixel labels. Subclasses list areas and load samples; nothing else."""

    name: str
    class_names: tuple[str, ...]
    """Names of the class ids 1, 2, … in order."""
    held_out_classes: tuple[int, ...] = ()
    """Base classes that the benchmark itself keeps out of training; most leave that to the
    protocol."""

    @abstractmethod
    def novel_classes(self, fold: int) -> tuple[int, ...]:
        """Class ids that are novel in `fold`, in increasing order."""

    @abstractmethod
    def areas(self, split: Split) -> Int64[np.ndarray, "images classes"]:
        """Pixels of each class (column c is class id c+1) in every image of `split`.

        Must not depend on anything but the benchmark's files; it may be cached by the subclass.
        """

    @abstractmethod
    def load(self, split: Split, index: int) -> Sample:
        """Image number `index` of `split`. Broken files raise an error that names the file."""

    def picture_ids(self, split: Split) -> tuple[str, ...]:
        """The `Sample.id` of every image of `split`, without loading it."""
        return tuple(f"{split}/{index}" for index in range(len(self.areas(split))))

    @cached_property
    def class_ids(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.class_names) + 1))

    def base_classes(self, fold: int) -> tuple[int, ...]:
        """Class ids that are not novel in `fold`, in increasing order."""
        novel = set(self.novel_classes(fold))
        return tuple(c for c in self.class_ids if c not in novel)

    def name_of(self, class_id: int) -> str:
        """The word for a class id; ValueError if there is no such class."""
        if class_id not in self.class_ids:
            raise ValueError(f"class id {class_id}: {self.name} has 1 to {len(self.class_names)}")
        return self.class_names[class_id - 1]
