"""PASCAL-5i: VOC 2012 and SBD, 20 classes in four folds of five (Shaban et al. 2017).

Train is one of the two lists of `voc_files`, val is VOC val (1,449 images). Labels: VOC's own PNGs
for every image of VOC train and val, SBD's elsewhere. VOC's labels have the 255 border, which is
kept; SBD's have none, and nothing is invented there. The papers use a repackaging of both, called
SegmentationClassAug, which no longer says where its pixels come from; here images in both sets
take VOC's label, the finer one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fsslib.data import voc_files
from fsslib.data.benchmark import BENCHMARKS, BrokenFileError
from fsslib.data.folds import PASCAL_CLASSES, contiguous_fold
from fsslib.data.labelled_files import (
    FileBenchmark,
    Item,
    ListCount,
    cache_folder,
    list_fingerprint,
    read_class_ids,
)
from fsslib.data.parallel import WORKERS
from fsslib.data.prepared import is_complete, label_folder, make_labels
from fsslib.data.voc_files import OFFICIAL, TrainList, VocFiles

VERSION = 1
"""Of the conversion from .mat to PNG."""

if TYPE_CHECKING:
    from fsslib.data.protocol import Protocol


@BENCHMARKS.register("pascal5i")
class Pascal5i(FileBenchmark):
    """PASCAL-5i from the original archives unpacked under `root`.

    Args:
        root: folder with `VOCdevkit` and `benchmark_RELEASE`; see `voc_files`.
        train_list: `sbd` (5,953 images, PFENet's line) or `sbd_aug` (10,582).
        download: fetch both archives first if they are not there.
        workers: processes for converting SBD's labels, once.

    Raises:
        FileNotFoundError: an archive is missing; says the command that gets it.
        BrokenFileError: a list or an SBD label cannot be read.
        ValueError: unknown `train_list`, or training images in VOC val.
    """

    usual: ClassVar = {"image_size": 473, "episodes": 5000}
    default_folder = "pascal"
    known_classes = PASCAL_CLASSES
    reads = ("train_list",)

    @classmethod
    def fetch(cls, root: Path) -> None:
        voc_files.download(root)

    @classmethod
    def open(cls, root: Path, protocol: Protocol, keep: bool = False) -> Pascal5i:
        return cls(root, protocol.train_list)

    def __init__(
        self,
        root: Path | str,
        train_list: TrainList = "sbd",
        download: bool = False,
        workers: int = WORKERS,
    ) -> None:
        root = Path(root).expanduser()
        self.files = _find(root, download)
        train = self.files.training_ids(train_list)
        cache = cache_folder(root)
        self.sbd_labels = self._convert(cache, workers)
        fix = f"`python -m fsslib.data download pascal5i --root {root}` unpacks the archives again"
        super().__init__(
            "pascal5i",
            PASCAL_CLASSES,
            {"train": self._items(train), "val": self._items(self.files.voc_val)},
            partial(read_class_ids, classes=len(PASCAL_CLASSES), fix=fix),
            cache / f"areas_{train_list}",
            fix,
        )

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        return contiguous_fold(len(self.class_names), fold)

    def list_counts(self) -> list[ListCount]:
        """Every list beside its length and fingerprint in the literature."""
        return [
            ListCount(name, len(ids), OFFICIAL[name][0], list_fingerprint(ids), OFFICIAL[name][1])
            for name, ids in ((name, list(ids)) for name, ids in self.files.lists().items())
        ]

    def _items(self, ids: Iterable[str]) -> list[Item]:
        voc, own = self.files.voc, self.files.voc_train | self.files.voc_val
        items = []
        for name in sorted(ids):
            image = voc / "JPEGImages" / f"{name}.jpg"
            if name in own:
                label = voc / "SegmentationClass" / f"{name}.png"
            else:
                label = self.sbd_labels / f"{name}.png"
                if not image.is_file():  # VOC 2012 holds SBD's photographs; SBD brings them too
                    image = self.files.sbd / "img" / f"{name}.jpg"
            items.append(Item(image, label, name))
        return items

    def _convert(self, cache: Path, workers: int) -> Path:
        """SBD's labels as PNGs, for every image of the longer list that has no VOC label."""
        names = sorted(
            (self.files.training_ids("sbd_aug") | self.files.training_ids("sbd"))
            - self.files.voc_train
        )
        jobs = {name: self.files.sbd / "cls" / f"{name}.mat" for name in names}
        source = _sbd_source(jobs.values())
        folder = label_folder(cache, "sbd", source)
        if not is_complete(folder):
            make_labels(folder, source, jobs, voc_files.read_sbd_mat, workers)
        return folder


def _find(root: Path, download: bool) -> VocFiles:
    try:
        return VocFiles.find(root)
    except FileNotFoundError:
        if not download:
            raise
    voc_files.download(root)
    return VocFiles.find(root)


def _sbd_source(paths: Iterable[Path]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        except OSError as error:
            raise BrokenFileError(f"{path} is missing; unpack SBD's benchmark.tgz again") from error
    return {"source": "SBD cls/*.mat", "sha256": digest.hexdigest(), "version": VERSION}
