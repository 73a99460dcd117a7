"""A benchmark whose images and labels are files: what PASCAL-5i, COCO-20i and `folder` share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from fsslib.data.areas import cached_areas, pixel_counts
from fsslib.data.benchmark import Benchmark, Sample, Split
from fsslib.data.pictures import check_sizes, check_values, read_image, read_indices
from fsslib.files import data_root


@dataclass(frozen=True)
class Item:
    """One image and its label on disk."""

    image: Path
    label: Path
    id: str
    class_id: int = 0
    """The class of a binary mask (`folder`); 0 where the label holds class ids itself."""
    also: tuple[Item, ...] = ()
    """Items of the same photograph whose binary masks are known here, too (`folder`)."""


@dataclass(frozen=True)
class ListCount:
    """How long a list is, and how long it is in the papers (None: nobody says)."""

    name: str
    length: int
    official: int | None = None
    fingerprint: str = ""
    """Of the ids found; see `list_fingerprint`."""
    official_fingerprint: str = ""

    @property
    def fits(self) -> bool:
        same = self.official is None or self.length == self.official
        return same and self.official_fingerprint in ("", self.fingerprint)


class FileBenchmark(Benchmark):
    """Lists of `Item`s for both splits, and one way to read a label.

    Args:
        name: the benchmark's name.
        class_names: names of class ids 1, 2, …
        items: the images of each split, in the order that indices count.
        read_label: from an item to its label map in class ids; picklable.
        cache: folder for the tables of class areas.
        image_fix: what to do about a missing or broken photograph; ends its error message.
    """

    def __init__(
        self,
        name: str,
        class_names: Sequence[str],
        items: Mapping[Split, Sequence[Item]],
        read_label: Callable[[Item], UInt8[np.ndarray, "h w"]],
        cache: Path,
        image_fix: str,
    ) -> None:
        self.name, self.class_names = name, tuple(class_names)
        self.items = {split: tuple(listed) for split, listed in items.items()}
        self.read_label, self.cache, self.image_fix = read_label, cache, image_fix
        self._areas: dict[str, Int64[np.ndarray, "images classes"]] = {}

    def areas(self, split: Split) -> Int64[np.ndarray, "images classes"]:
        """See `Benchmark.areas`; kept in `cache`, counted again when a label file changes."""
        if split not in self._areas:
            items = self.items[split]
            table = cached_areas(
                items,
                [each.label for item in items for each in (item, *item.also)],
                partial(count_item, self.read_label),
                len(self.class_names),
                self.cache / f"areas_{split}.npz",
            )
            table.setflags(write=False)  # one table for everybody who asks
            self._areas[split] = table
        return self._areas[split]

    def load(self, split: Split, index: int) -> Sample:
        """See `Benchmark.load`; IndexError, BrokenFileError."""
        return load_item(self.items[split][index], self.read_label, self.image_fix)

    def picture_ids(self, split: Split) -> tuple[str, ...]:
        return tuple(item.id for item in self.items[split])

    def list_counts(self) -> list[ListCount]:
        """Lengths of the benchmark's lists beside the papers', for `check`."""
        return [ListCount(split, len(items)) for split, items in self.items.items()]


def load_item(
    item: Item, read_label: Callable[[Item], UInt8[np.ndarray, "h w"]], image_fix: str
) -> Sample:
    """Read one image with its label; BrokenFileError names what is wrong with which file."""
    image = read_image(item.image, image_fix)
    label = read_label(item)
    check_sizes(image, label, item.image, item.label)
    return Sample(image, label, item.id)


def count_item(
    read_label: Callable[[Item], UInt8[np.ndarray, "h w"]], item: Item
) -> Int64[np.ndarray, "256"]:
    """Pixels of each value in an item's label. A function of the module, so that it pickles."""
    return pixel_counts(read_label(item))


def read_class_ids(item: Item, classes: int, fix: str) -> UInt8[np.ndarray, "h w"]:
    """A label that holds class ids: 0, 1 to `classes`, 255."""
    label = read_indices(item.label, fix)
    check_values(label, classes, item.label, fix)
    return label


def list_fingerprint(ids: Sequence[str]) -> str:
    """Sixteen hexadecimal digits of the sorted ids: equal for equal sets of images."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def cache_folder(root: Path) -> Path:
    """Where things made from the files under `root` are kept.

    `<root>/fsslib_cache`, or a folder of `data_root()` named after `root` where that may not be
    written. Write permission is read from the mode bits too: the superuser may write anywhere,
    but a folder without them was closed on purpose.
    """
    root = Path(root).resolve()
    inside = root / "fsslib_cache"
    nearest = inside if inside.is_dir() else root
    if os.access(nearest, os.W_OK) and nearest.stat().st_mode & 0o222:
        return inside
    name = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return data_root() / "cache" / f"{root.name}-{name}"
