"""COCO-20i: MS COCO's 80 classes in four folds of twenty, in both conventions (see `folds`).

    <root>/annotations/instances_{train,val}{2014,2017}.json
    <root>/train2014/COCO_train2014_000000000009.jpg     or     <root>/train2017/000000000009.jpg

The papers use 2014, which is taken where both years are there. Label PNGs are made from the JSON
once (`coco_labels` says how), in `<root>/fsslib_cache`, or in the data folder if `root` may not be
written. The lists of the papers (82,081 and 40,137) are the images with at least one annotation;
here the lists are all images of the JSON, and those without objects are never drawn.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fsslib.config import ConfigError
from fsslib.data.benchmark import BENCHMARKS, BrokenFileError, Split
from fsslib.data.coco_labels import draw_labels, read_instances
from fsslib.data.folds import COCO_CLASSES, CocoFolds, contiguous_fold, interleaved_fold
from fsslib.data.labelled_files import (
    FileBenchmark,
    Item,
    ListCount,
    cache_folder,
    read_class_ids,
)
from fsslib.data.parallel import WORKERS
from fsslib.data.prepared import file_source, is_complete, label_folder, make_labels
from fsslib.files import read_json, write_json

VERSION = 1
"""Of the drawing of labels."""
OFFICIAL = {
    2014: {"train": (82783, 82081), "val": (40504, 40137)},
    2017: {"train": (118287, 117266), "val": (5000, 4952)},
}
"""Images, and images with at least one annotation."""
SPLITS: tuple[Split, ...] = ("train", "val")

if TYPE_CHECKING:
    from fsslib.data.protocol import Protocol


@BENCHMARKS.register("coco20i")
class Coco20i(FileBenchmark):
    """COCO-20i from the original files under `root`.

    Args:
        root: folder with `annotations` and the folders of images.
        convention: `interleaved` (PFENet, BAM, HDMNet, PI-CLIP, QGNet, HSNet) or `contiguous`.
        year: 2014 or 2017; None takes the year that is there, 2014 before 2017.
        cache: where label PNGs go; None chooses as said at the head of this file.
        workers: processes for drawing labels, once.

    Raises:
        FileNotFoundError: annotations or image folders are missing; says how to get them.
        BrokenFileError: an annotation file cannot be used.
        ValueError: unknown convention, or an image in both splits.
    """

    usual: ClassVar = {"image_size": 473, "episodes": 20000}
    default_folder = "coco"
    known_classes = COCO_CLASSES
    augmentation_scale = (0.8, 1.25)
    reads = ("coco_folds",)

    @classmethod
    def fetch(cls, root: Path) -> None:
        """Twenty gigabytes: says where they are."""
        raise ConfigError(
            f"download {cls.name}: get train2014.zip, val2014.zip and "
            "annotations_trainval2014.zip (20 GB) from https://cocodataset.org/#download and "
            f"unpack them in {root}"
        )

    @classmethod
    def open(cls, root: Path, protocol: Protocol, keep: bool = False) -> Coco20i:
        return cls(root, protocol.coco_folds)

    def __init__(
        self,
        root: Path | str,
        convention: CocoFolds = "interleaved",
        year: Literal[2014, 2017] | None = None,
        cache: Path | str | None = None,
        workers: int = WORKERS,
    ) -> None:
        if convention not in ("interleaved", "contiguous"):
            raise ValueError(
                f"convention={convention!r}: expected 'interleaved' or 'contiguous'; they are two "
                "benchmarks whose numbers do not compare"
            )
        root = Path(root).expanduser()
        self.convention, self.year = convention, _year(root, year)
        cache = Path(cache) if cache is not None else cache_folder(root)
        self._images = {split: self._prepare(root, split, cache, workers) for split in SPLITS}
        _check_disjoint(self._images)
        fix = "Remove the label's folder to make it again"
        super().__init__(
            "coco20i",
            COCO_CLASSES,
            {split: self._items(root, split) for split in SPLITS},
            partial(read_class_ids, classes=len(COCO_CLASSES), fix=fix),
            cache / f"areas_{self.year}",
            f"Unpack train{self.year}.zip and val{self.year}.zip under {root} again",
        )

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        cut = interleaved_fold if self.convention == "interleaved" else contiguous_fold
        return cut(len(self.class_names), fold)

    def list_counts(self) -> list[ListCount]:
        """Images and images with annotations, beside the official counts of the year."""
        counts = []
        for split in SPLITS:
            images = self._images[split]["images"]
            every, annotated = OFFICIAL[self.year][split]
            with_objects = sum(image["annotations"] > 0 for image in images)
            counts.append(ListCount(f"{split}{self.year}", len(images), every))
            counts.append(ListCount(f"{split}{self.year} with objects", with_objects, annotated))
        return counts

    def _prepare(self, root: Path, split: Split, cache: Path, workers: int) -> dict[str, Any]:
        """Draw the labels of a split unless they are there; its list of images and their folder."""
        path = _annotations(root, split, self.year)
        source = file_source(path, VERSION)
        folder = label_folder(cache, f"{split}{self.year}", source)
        listing = folder / "images.json"
        if not is_complete(folder) or _listed(listing) is None:
            images = read_instances(path)
            jobs = {Path(image.file_name).stem: image for image in images}
            if len(jobs) < len(images):
                raise BrokenFileError(f"{path} lists a file name twice; get the original again")
            entries = [
                {"id": i.image_id, "file": i.file_name, "annotations": len(i.objects)}
                for i in images
            ]
            write_json(listing, entries)
            make_labels(folder, source, jobs, draw_labels, workers)
        return {"images": _listed(listing), "folder": folder}

    def _items(self, root: Path, split: Split) -> list[Item]:
        pictures, labels = root / f"{split}{self.year}", self._images[split]["folder"]
        if not pictures.is_dir():
            raise FileNotFoundError(f"{pictures} is missing; unpack {pictures.name}.zip in {root}")
        stems = [Path(image["file"]) for image in self._images[split]["images"]]
        return [Item(pictures / f, labels / f"{f.stem}.png", f.stem) for f in stems]


def _listed(listing: Path) -> list[dict[str, Any]] | None:
    """The images of a split as `_prepare` has written them; None where that is not there."""
    try:
        images = read_json(listing, list)
        whole = all({"id", "file", "annotations"} <= image.keys() for image in images)
    except (OSError, ValueError, AttributeError):
        return None
    return images if whole else None


def _annotations(root: Path, split: str, year: int) -> Path:
    return root / "annotations" / f"instances_{split}{year}.json"


def _year(root: Path, year: int | None) -> int:
    """The year whose two annotation files are there."""
    if year not in (None, *OFFICIAL):
        raise ValueError(f"year={year!r}: expected 2014, 2017 or None")
    years = [year] if year is not None else list(OFFICIAL)
    for candidate in years:
        if all(_annotations(root, split, candidate).is_file() for split in SPLITS):
            return candidate
    expected = " or ".join(str(_annotations(root, "*", y)) for y in years)
    raise FileNotFoundError(
        f"COCO-20i: no {expected} (train and val of one year). Get train2014.zip, val2014.zip and "
        f"annotations_trainval2014.zip from https://cocodataset.org/#download, unpack in {root}"
    )


def _check_disjoint(images: dict[Split, dict[str, Any]]) -> None:
    train, val = ({image["id"] for image in images[split]["images"]} for split in SPLITS)
    if train & val:
        raise ValueError(
            f"{len(train & val)} images are in train and in val (ids {sorted(train & val)[:3]}, …):"
            " training would see test images. Use both annotation files of one year, unchanged"
        )
