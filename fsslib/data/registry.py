"""From a Protocol to its benchmark."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from fsslib.config import ConfigError
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.data.protocol import Protocol
from fsslib.files import data_root

if TYPE_CHECKING:
    from fsslib.data.benchmark import Benchmark

ROOM = 2 * 2**30
"""Free bytes below which no scene is kept: those of a benchmark take half of it, and a process that
writes to a mapped file on a full disk is killed by a signal, without a sentence."""


def default_root(benchmark: str) -> Path:
    """Where a benchmark's files are unless told otherwise; ConfigError if nowhere in particular."""
    folder = BENCHMARKS.get(benchmark).default_folder
    if folder is None:
        raise ConfigError(f"benchmark={benchmark!r} needs a root: the folder that holds its files")
    return data_root() / folder


def require_root(benchmark: str, root: Path | str | None) -> None:
    """ConfigError for a root where there can be none, and for none where there has to be one."""
    kind = BENCHMARKS.get(benchmark)
    if kind.rendered and root is not None:
        raise ConfigError(f"root={str(root)!r}: {benchmark} is rendered; leave the root out")
    if not kind.rendered and root is None:
        default_root(benchmark)


def load_benchmark(
    protocol: Protocol, root: Path | str | None = None, keep: bool = False
) -> Benchmark:
    """The benchmark that `protocol` names, with its `train_list` or `coco_folds`.

    Args:
        root: folder of the files; None means `data_root()/"pascal"` or `/"coco"`. Rendered ones
            have none; `folder` must be told.
        keep: render each scene once and keep it on disk (Scenes-10i; others are on disk anyway),
            if `ROOM` bytes are free there. Where fewer are, a warning says that none is kept.

    Raises:
        ConfigError: a root that makes no sense.
        FileNotFoundError: files are missing; says which, and the command that gets them.
    """
    require_root(protocol.benchmark, root)
    kind = BENCHMARKS.get(protocol.benchmark)
    if kind.rendered:
        return kind.open(None, protocol, keep and _has_room(data_root()))
    chosen = Path(root) if root is not None else default_root(protocol.benchmark)
    return kind.open(chosen, protocol, keep)


def _has_room(folder: Path) -> bool:
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    if free < ROOM:
        warnings.warn(
            f"{folder} has {free / 2**30:.1f} GB free, and keeping scenes needs "
            f"{ROOM / 2**30:.0f}; they are rendered each time, which is slower. Free space, or "
            "set FSSLIB_DATA to a folder on another disk",
            stacklevel=3,
        )
    return free >= ROOM
