"""From a Protocol to its benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fsslib.config import ConfigError
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.data.protocol import Protocol
from fsslib.files import data_root

if TYPE_CHECKING:
    from fsslib.data.benchmark import Benchmark


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
        keep: render each scene once and keep it on disk (Scenes-10i; others are on disk anyway).

    Raises:
        ConfigError: a root that makes no sense.
        FileNotFoundError: files are missing; says which, and the command that gets them.
    """
    require_root(protocol.benchmark, root)
    kind = BENCHMARKS.get(protocol.benchmark)
    if kind.rendered:
        return kind.open(None, protocol, keep)
    chosen = Path(root) if root is not None else default_root(protocol.benchmark)
    return kind.open(chosen, protocol, keep)
