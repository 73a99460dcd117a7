"""An album: many rendered scenes on disk with their captions, for trainings that read them often.

Rendering costs as much as training a small network does. An album pays for it once: pictures in
shards that are memory-mapped, never loaded, and beside each shard what its scenes show. No label
maps: whoever learns from an album has never seen a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fsslib.data.parallel import parallel_map
from fsslib.data.scenes.classes import class_name
from fsslib.data.scenes.scene import render_scene, renderer
from fsslib.files import atomic_path, data_root, read_json, write_json

SHARD = 2000
EDITION = 1
"""Raised when scenes or captions change, so that an album of older ones is not read; packages count
by their versions."""


@dataclass(frozen=True)
class Album:
    """Scenes 0 .. count-1 of (split, seed), `size` pixels square, in `folder`.

    Attributes:
        count: scenes; the last shard may be a short one.
    """

    split: str
    seed: int
    count: int
    size: int
    root: Path | None = None

    @cached_property
    def folder(self) -> Path:
        """`<root>/album<edition>_<split>_s<seed>_<size>px_<renderer>`; root is the data root by
        default."""
        root = data_root() / "scenes" if self.root is None else self.root
        name = f"album{EDITION}_{self.split}_s{self.seed}_{self.size}px_{renderer()}"
        return root / name

    def prepare(self, workers: int = 2) -> Album:
        """Render the shards that are not there yet; each is written whole or not at all."""
        tasks = [
            (self.folder, self.split, self.seed, self.size, start, min(start + SHARD, self.count))
            for start in range(0, self.count, SHARD)
        ]
        missing = [task for task in tasks if not all(p.is_file() for p in _paths(*task))]
        what = f"rendering scenes into {self.folder}, {SHARD} a time"
        for _ in parallel_map(_render, missing, what, workers, long=True):
            pass
        return self

    def __len__(self) -> int:
        return self.count

    def __getstate__(self) -> dict[str, Any]:
        """What other processes get: the files' names, not what is mapped of them here."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def identity(self) -> str:
        """Which pictures these are, however many."""
        return self.folder.name

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Picture of scene `index`: a read-only view of the file."""
        return self._pictures[index // SHARD][index % SHARD]

    def captions(self, index: int) -> Sequence[str]:
        """The captions of scene `index`."""
        return self._words[index // SHARD][index % SHARD]["captions"]

    def class_ids(self, index: int) -> list[int]:
        """The classes in scene `index`, 1 .. 40, back to front."""
        return self._words[index // SHARD][index % SHARD]["class_ids"]

    def names(self, index: int) -> list[str]:
        """Names of the classes in scene `index`, back to front."""
        return [class_name(i) for i in self.class_ids(index)]

    @cached_property
    def _pictures(self) -> list[np.ndarray]:
        return [np.load(pictures, mmap_mode="r") for pictures, _ in self._files]

    @cached_property
    def _words(self) -> list[list[dict]]:
        return [read_json(words) for _, words in self._files]

    @property
    def _files(self) -> list[tuple[Path, Path]]:
        files = [
            _paths(self.folder, self.split, self.seed, self.size, start, stop)
            for start in range(0, self.count, SHARD)
            for stop in (min(start + SHARD, self.count),)
        ]
        lost = [path.name for pair in files for path in pair if not path.is_file()]
        if lost:
            raise FileNotFoundError(f"{self.folder} lacks {lost[:3]}; call prepare() first")
        return files


def _paths(folder: Path, split: str, seed: int, size: int, start: int, stop: int) -> tuple:
    name = f"{start:07d}_{stop - start}"
    return folder / f"{name}.npy", folder / f"{name}.json"


def _render(task: tuple[Path, str, int, int, int, int]) -> None:
    _, split, seed, size, start, stop = task
    pictures, words = _paths(*task)
    scenes = [render_scene(split, seed, index, size) for index in range(start, stop)]
    facts = [{"class_ids": s.plan.class_ids, "captions": s.captions} for s in scenes]
    with atomic_path(pictures) as temporary:
        np.save(temporary, np.stack([scene.image for scene in scenes]))
    write_json(words, facts)
