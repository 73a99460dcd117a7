"""What a benchmark is: named classes, two splits of labelled images, and four folds.

A benchmark only lists and loads. Which images make an episode is the sampler's business, how they
become network inputs the transforms', and both follow the Protocol.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int64, UInt8

from fsslib.config import ConfigError
from fsslib.registry import Registry

Split = Literal["train", "val"]
IGNORE = 255
"""In masks: nobody knows what the pixel shows."""


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
    """In the registry `BENCHMARKS`."""
    class_names: tuple[str, ...]
    """Names of the class ids 1, 2, … in order."""
    usual: ClassVar[Mapping[str, Any]] = {}
    """Its usual protocol, as changes to `Protocol`'s defaults."""
    rendered: ClassVar[bool] = False
    """Made and not read: there is no folder of files, and no area rule."""
    default_folder: ClassVar[str | None] = None
    """Of its files below the data root; None: a root must be given."""
    known_classes: ClassVar[tuple[str, ...]] = ()
    """All class names, where they are known before any file is read."""
    identified_by_root: ClassVar[bool] = False
    """Whether another folder is other data, and not the same in another place. Pictures of one's
    own: predictions go back to their sizes exactly, without PFENet's displacement."""
    val_has_base: ClassVar[bool] = True
    """Whether base classes have pictures in the val split."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Fields of the protocol that it reads and others do not: `coco_folds`, `train_list`."""
    augmentation_scale: ClassVar[tuple[float, float]] = (0.9, 1.1)
    """Of random resizing in the papers' trainings."""

    @classmethod
    def open(cls, root: Path | None, protocol: Any, keep: bool = False) -> Benchmark:
        """The benchmark as a protocol describes it.

        Args:
            root: folder of the files; None for rendered ones.
            keep: keep what is rendered on disk.
        """
        return cls(root)

    @classmethod
    def require_base(cls, root: Path | str | None) -> None:
        """ConfigError unless there are classes to train on, which there are by default."""
        return None

    @classmethod
    def fetch(cls, root: Path) -> None:
        """Download the files into `root`; ConfigError where no command can."""
        raise ConfigError(f"download {cls.name}: its files cannot be fetched by command")

    @classmethod
    def identity(cls, root: Path | str | None) -> Any:
        """What decides a result and is not in the protocol; None where nothing is."""
        return str(Path(root).expanduser().resolve()) if cls.identified_by_root and root else None

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


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    Benchmark,
    {
        "scenes10i": "fsslib.data.scenes.benchmark",
        "pascal5i": "fsslib.data.pascal",
        "coco20i": "fsslib.data.coco",
        "folder": "fsslib.data.folder",
    },
)
"""All benchmarks by name."""
