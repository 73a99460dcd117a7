"""Superpixels of many pictures, made once in a few processes and kept.

Label maps lie in shards that are memory-mapped, never loaded; beside each its boxes, and last of
all its facts with the SHA-256 of both files. A shard without facts was interrupted and is made
again, and so is one whose bytes are not those that the facts name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from fsslib.data.parallel import WORKERS, parallel_map
from fsslib.files import atomic_path, data_root, read_json, write_json
from fsslib.priors.superpixels import Segments, SuperpixelConfig, measure, report, superpixels
from fsslib.training.pretraining.unlabelled import Unlabelled

SHARD = 500
Labels = UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
EDITION = 1
"""Raised when label maps or files change."""


@dataclass(frozen=True)
class SegmentStore:
    """Segments of every picture, in `folder`; `prepare` them before anything else is asked."""

    pictures: Unlabelled
    config: SuperpixelConfig
    root: Path | None = None

    @property
    def folder(self) -> Path:
        """`<root>/<identity of the pictures>-<digest of settings>`; root is the data root's
        `superpixels` by default."""
        packages = {name: version(name) for name in ("pillow", "scikit-image")}
        settings = {**asdict(self.config), **packages, "e": EDITION}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        root = data_root() / "superpixels" if self.root is None else self.root
        return root / f"{self.pictures.identity}-{self.config.algorithm}-{digest[:8]}"

    def prepare(self, workers: int = WORKERS) -> SegmentStore:
        """Make the shards that are missing or damaged; each is there whole or not at all."""
        missing = [(self, start) for start in self._starts if not self._is_whole(start)]
        what = f"superpixels into {self.folder}, {SHARD} pictures a time"
        for _ in parallel_map(_make, missing, what, workers, long=True):
            pass
        return self

    def __len__(self) -> int:
        return len(self.pictures)

    def labels(self, index: int) -> Labels:
        """Label map of picture `index`: a read-only view of the file, of as many bytes as the
        segments of its shard need."""
        part, place = self._shards[index // SHARD], index % SHARD
        (height, width), begin = part["shapes"][place], part["pixels"][place]
        return part["labels"][begin : begin + height * width].reshape(height, width)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of label map `index`."""
        height, width = self._shards[index // SHARD]["shapes"][index % SHARD]
        return int(height), int(width)

    def segments(self, index: int) -> Segments:
        """Areas, boxes and eligibility in picture `index`."""
        part, place = self._shards[index // SHARD], index % SHARD
        rows = slice(*part["rows"][place : place + 2])
        return Segments(part["areas"][rows], part["boxes"][rows], part["eligible"][rows])

    def boxes(self, index: int) -> Float32[np.ndarray, "n 4"]:
        """Boxes of the eligible segments of picture `index`."""
        segments = self.segments(index)
        return segments.boxes[segments.eligible]

    def report(self) -> dict[str, float]:
        """How many segments there are and how large; see `fsslib.priors.superpixels.report`."""
        return report([self.segments(index) for index in range(len(self))])

    @property
    def _starts(self) -> range:
        return range(0, len(self.pictures), SHARD)

    def _files(self, start: int) -> tuple[Path, Path, Path]:
        stop = min(start + SHARD, len(self.pictures))
        name = f"{start:07d}_{stop - start}"
        return tuple(self.folder / f"{name}{end}" for end in (".npy", ".npz", ".json"))

    def _is_whole(self, start: int) -> bool:
        labels, table, facts = self._files(start)
        try:
            named = read_json(facts, dict)["sha256"]
            return all(_digest(path) == named[path.name] for path in (labels, table))
        except (OSError, ValueError, LookupError, TypeError):  # missing, or something else
            return False

    @cached_property
    def _shards(self) -> list[dict[str, np.ndarray]]:
        shards = []
        for start in self._starts:
            labels, table, facts = self._files(start)
            if not facts.is_file():
                raise FileNotFoundError(f"{self.folder} lacks {facts.name}; call prepare() first")
            with np.load(table) as arrays:
                shards.append({**arrays, "labels": np.load(labels, mmap_mode="r")})
        return shards

    def __getstate__(self) -> dict:
        """What other processes get: settings, not what is mapped of the files here."""
        return {"pictures": self.pictures, "config": self.config, "root": self.root}


def _make(task: tuple[SegmentStore, int]) -> None:
    store, start = task
    stop = min(start + SHARD, len(store.pictures))
    maps = [superpixels(store.pictures.image(i), store.config) for i in range(start, stop)]
    measured = [measure(one, store.config) for one in maps]
    labels, table, facts = store._files(start)
    with atomic_path(labels) as temporary:
        pixels = np.concatenate([one.ravel() for one in maps])
        np.save(temporary, pixels.astype(np.min_scalar_type(pixels.max())))
    with atomic_path(table) as temporary:
        np.savez(
            temporary,
            shapes=np.array([one.shape for one in maps]),
            pixels=np.cumsum([0, *(one.size for one in maps)]),
            rows=np.cumsum([0, *(len(one.areas) for one in measured)]),
            areas=np.concatenate([one.areas for one in measured]),
            boxes=np.concatenate([one.boxes for one in measured]),
            eligible=np.concatenate([one.eligible for one in measured]),
        )
    sums = {path.name: _digest(path) for path in (labels, table)}
    write_json(facts, {"sha256": sums, "settings": asdict(store.config), **report(measured)})


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
