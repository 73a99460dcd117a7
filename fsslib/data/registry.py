"""From a Protocol to its benchmark."""

from __future__ import annotations

from pathlib import Path

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.files import data_root

FOLDERS = {"pascal5i": "pascal", "coco20i": "coco"}


def default_root(benchmark: str) -> Path:
    """Where a benchmark's files are unless told otherwise; ConfigError if nowhere in particular."""
    if benchmark not in FOLDERS:
        raise ConfigError(f"benchmark={benchmark!r} needs a root: the folder that holds its files")
    return data_root() / FOLDERS[benchmark]


def load_benchmark(
    protocol: Protocol, root: Path | str | None = None, keep: bool = False
) -> Benchmark:
    """The benchmark that `protocol` names, with its `train_list` or `coco_folds`.

    Args:
        root: folder of the files; None means `data_root()/"pascal"` or `/"coco"`. Scenes-10i is
            rendered and has none; `folder` must be told.
        keep: render each scene once and keep it on disk (Scenes-10i; others are on disk anyway).

    Raises:
        ConfigError: a root that makes no sense.
        FileNotFoundError: files are missing; says which, and the command that gets them.
    """
    if protocol.benchmark == "scenes10i":
        if root is not None:
            raise ConfigError(f"root={str(root)!r}: Scenes-10i is rendered; leave the root out")
        from fsslib.data.scenes.benchmark import Scenes10i

        return Scenes10i(protocol.image_size, keep=keep)
    root = Path(root) if root is not None else default_root(protocol.benchmark)
    if protocol.benchmark == "pascal5i":
        from fsslib.data.pascal import Pascal5i

        return Pascal5i(root, protocol.train_list)
    if protocol.benchmark == "coco20i":
        from fsslib.data.coco import Coco20i

        return Coco20i(root, protocol.coco_folds)
    from fsslib.data.folder import FolderBenchmark

    return FolderBenchmark(root)
