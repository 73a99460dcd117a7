"""How many pixels of each class every image holds: what samplers choose episodes by.

Counting opens every label image once (minutes for COCO), so the table is kept in an .npz. Its
manifest is a digest of the list of labels with their sizes and times: when the list or a file
changes, the table is counted again instead of being trusted.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.parallel import WORKERS, parallel_map
from fsslib.files import atomic_path

VERSION = 1
"""Raise when the counting or the reading of labels changes, so that old tables are not used."""


def pixel_counts(label: UInt8[np.ndarray, "h w"]) -> Int64[np.ndarray, "256"]:
    """Pixels of each value from 0 to 255."""
    return np.bincount(label.ravel(), minlength=256).astype(np.int64)


def cached_areas(
    items: Sequence[Any],
    paths: Sequence[Path],
    count: Callable[[Any], Int64[np.ndarray, "256"]],
    classes: int,
    cache: Path,
    workers: int = WORKERS,
) -> Int64[np.ndarray, "images classes"]:
    """Pixels of classes 1 to `classes` in each item, from `cache` if its manifest still fits.

    Args:
        items: what `count` takes, one an image; picklable, like `count`.
        paths: all label files behind the items, in their order.
        count: pixels of each label value of an item.

    Raises:
        BrokenFileError: a label is missing, or what `count` raises about it.
    """
    manifest = _manifest(paths, classes)
    cached = _read(cache, manifest)
    if cached is not None:
        return cached
    rows = parallel_map(count, items, f"counting class pixels for {cache.name}", workers)
    table = np.zeros((len(items), classes), np.int64)
    for number, row in enumerate(rows):
        table[number] = row[1 : classes + 1]
    with atomic_path(cache) as temporary:
        np.savez_compressed(temporary, areas=table, manifest=np.array(manifest))
    return table


def _manifest(paths: Sequence[Path], classes: int) -> str:
    digest = hashlib.sha256(f"{VERSION} {classes}\n".encode())
    # Below their common folder, because a folder may be the class; the whole may be moved.
    top = os.path.commonpath([path.parent for path in paths]) if paths else ""
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise BrokenFileError(
                f"label {path} is missing ({error.strerror}); `python -m fsslib.data check` lists "
                "everything that is wrong with the folder"
            ) from error
        name = path.relative_to(top).as_posix()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(cache: Path, manifest: str) -> Int64[np.ndarray, "images classes"] | None:
    try:
        with np.load(cache) as archive:
            return archive["areas"] if str(archive["manifest"]) == manifest else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # a broken table is counted again
