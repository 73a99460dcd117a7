"""Pictures without labels, for pretraining: an album of scenes, a benchmark's train list, a folder.

"All the images in the dataset" is what QGNet pretrains on. A benchmark's train list shows the
novel classes of every fold too, unlabelled: the extractor is transductive in classes, and results
with it must say so. Test pictures are never in it, which the paper leaves open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from fsslib.data.folder import SUFFIXES
from fsslib.data.labelled_files import FileBenchmark
from fsslib.data.pictures import read_image


class Unlabelled(Protocol):
    """Numbered pictures. `identity` says which, so that nothing made of others is taken for
    theirs; an `Album` is such a thing. Picklable."""

    @property
    def identity(self) -> str: ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]: ...


class PictureFiles:
    """Picture files in a fixed order."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name, self.paths = name, tuple(paths)

    @classmethod
    def in_folder(cls, folder: Path | str) -> PictureFiles:
        """All pictures in a folder and below it.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = Path(folder).expanduser()
        paths = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not paths:
            raise FileNotFoundError(f"{folder} holds no picture; expected {', '.join(SUFFIXES)}")
        return cls(folder.name, paths)

    @classmethod
    def train_list(cls, benchmark: FileBenchmark) -> PictureFiles:
        """The train split of PASCAL-5i or COCO-20i; no label is read."""
        return cls(benchmark.name, [item.image for item in benchmark.items["train"]])

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def identity(self) -> str:
        """Name and a digest of all files' names and sizes."""
        facts = "\n".join(f"{path.name} {path.stat().st_size}" for path in self.paths)
        return f"{self.name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Picture `index` at its own size; BrokenFileError names a file that cannot be read."""
        return read_image(self.paths[index], "Save it again, or remove it")
