"""Look at a benchmark's files before a training stumbles over them.

Every label is decoded, every photograph is looked for, and some (or all) are decoded too and
compared with their labels. All troubles are collected; nothing stops at the first. In a folder of
one's own, classes too small for an episode and folders that are no class are troubles, too; files
that nobody reads are only told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Int64, UInt8

from fsslib.data.areas import pixel_counts
from fsslib.data.benchmark import BrokenFileError, Split
from fsslib.data.folder import FolderBenchmark
from fsslib.data.folder_classes import FILE
from fsslib.data.labelled_files import FileBenchmark, Item, load_item
from fsslib.data.parallel import WORKERS, parallel_map
from fsslib.data.pictures import is_turned

SAMPLED = 200
"""Photographs decoded in each split unless all are."""


@dataclass
class SplitReport:
    """What was found in one split."""

    split: Split
    counts: Int64[np.ndarray, "images 256"]
    """Pixels of each label value in every image; zeros where the label is broken."""
    decoded: int
    """Photographs decoded."""
    turned: tuple[str, ...] = ()
    """Ids of those whose EXIF tag says that they are to be shown turned or mirrored."""

    def usable(self, benchmark: FileBenchmark, minimum: int) -> Int64[np.ndarray, " classes"]:
        """Images in which each class has `minimum` pixels, and one at least."""
        classes = self.counts[:, 1 : len(benchmark.class_names) + 1]
        return (classes >= max(minimum, 1)).sum(0)

    def scarce(self, benchmark: FileBenchmark, minimum: int) -> Iterator[str]:
        """Classes that cannot give an episode, and what to do about each."""
        usable = self.usable(benchmark, minimum)
        expected = {item.class_id for item in benchmark.items[self.split]}
        for class_id, name in enumerate(benchmark.class_names, 1):
            images = usable[class_id - 1]
            if images < 2 and class_id in expected:
                yield (
                    f"class {name!r}: {images} of its masks show it; an episode takes 2, a support "
                    "and a query. Add pictures, look at its masks (1 or 255: the object), or "
                    "leave the class out with scarce_classes='skip'"
                )

    def lines(self, benchmark: FileBenchmark, minimum: int, fold: int | None) -> Iterator[str]:
        total = int(self.counts.sum())
        share = 100 * int(self.counts[:, 255].sum()) / max(total, 1)
        classes = self.counts[:, 1 : len(benchmark.class_names) + 1]
        seen = int((classes.sum(0) > 0).sum())
        yield (
            f"{self.split}: {len(self.counts):,} images ({self.decoded:,} photographs decoded), "
            f"{seen} of {classes.shape[1]} classes, {total:,} pixels, {share:.2f} % are 255"
        )
        if self.turned:
            yield (
                f"note {len(self.turned)} of {self.decoded:,} decoded photographs have an EXIF "
                f"orientation ({', '.join(self.turned[:4])}{' …' * (len(self.turned) > 4)}), which "
                "is not applied: their masks must lie on the stored pixels, not on the turned "
                "picture that most programs show"
            )
        novel = benchmark.novel_classes(fold) if fold is not None else ()
        usable = self.usable(benchmark, minimum)
        head = f"  {'class':<20} {'images':>8} {f'>= {minimum} px':>11} {'pixels':>15}"
        yield head + ("" if fold is None else f"  fold {fold}")
        for class_id, name in enumerate(benchmark.class_names, 1):
            column = classes[:, class_id - 1]
            mark = "" if fold is None else "  novel" if class_id in novel else "  base"
            yield (
                f"  {name:<20} {int((column > 0).sum()):>8,} "
                f"{int(usable[class_id - 1]):>11,} {int(column.sum()):>15,}{mark}"
            )


@dataclass
class Report:
    """Everything `check` found; `troubles` is empty if the benchmark can be used."""

    lines: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def check(
    benchmark: FileBenchmark,
    minimum_object_pixels: int = 2048,
    fold: int | None = None,
    all_files: bool = False,
    miniature: bool = False,
    workers: int = WORKERS,
) -> Report:
    """Look at every file of `benchmark`.

    Args:
        minimum_object_pixels: of the protocol; images with at least so many are counted apart.
        fold: marks the novel classes in the tables.
        all_files: decode all photographs, not 200 of each split.
        miniature: lists that are not the official ones are no trouble.
    """
    report = Report()
    _compare_lists(benchmark, miniature, report)
    if isinstance(benchmark, FolderBenchmark):
        report.lines.append(_purposes(benchmark))
        report.troubles.extend(benchmark.unread_folders())
        report.lines.extend(f"note {line}" for line in benchmark.unread_files())
        fold = 0 if benchmark.classes else None
    for split, items in benchmark.items.items():
        if split == "train" and items == benchmark.items["val"]:
            continue  # one's own folder: the same pictures once more
        looked, troubles = look(benchmark, split, all_files, workers)
        report.lines.extend(looked.lines(benchmark, minimum_object_pixels, fold))
        report.troubles.extend(f"{split}: {trouble}" for trouble in troubles)
        if isinstance(benchmark, FolderBenchmark):
            report.troubles.extend(looked.scarce(benchmark, minimum_object_pixels))
    return report


def _purposes(benchmark: FolderBenchmark) -> str:
    """What the classes of one's own folder are for, and whether it can be trained on."""
    classes = benchmark.classes
    if classes is None:
        return (
            "all classes are novel: for testing and predicting. To train on some, name them in "
            f"{benchmark.root / FILE}, such as `base: [{benchmark.class_names[0]}]`"
        )
    parts = (("base", classes.base), ("held out", classes.held_out), ("novel", classes.novel))
    texts = [f"{kind}: {', '.join(map(benchmark.name_of, ids))}" for kind, ids in parts if ids]
    return f"can be trained on ({FILE}); {'; '.join(texts)}"


def _compare_lists(benchmark: FileBenchmark, miniature: bool, report: Report) -> None:
    """Lengths of the lists beside the papers'; into the report."""
    for count in benchmark.list_counts():
        verdict = _verdict(count.length, count.official, count.fits)
        report.lines.append(f"list {count.name}: {count.length:,} images{verdict}")
        if not count.fits and not miniature:
            report.troubles.append(
                f"list {count.name}: {count.length:,} images, official are {count.official:,}"
                f"{' (as many, but others)' if count.length == count.official else ''}. Numbers "
                "would not compare; unpack the original archives again (--miniature allows it)"
            )


def look(
    benchmark: FileBenchmark, split: Split, all_files: bool, workers: int
) -> tuple[SplitReport, list[str]]:
    """Inspect every item of a split; the report and all troubles."""
    items = benchmark.items[split]
    step = 1 if all_files else max(1, -(-len(items) // SAMPLED))
    tasks = [(item, number % step == 0) for number, item in enumerate(items)]
    inspect = partial(inspect_item, benchmark.read_label, benchmark.image_fix)
    counts, troubles, turned = np.zeros((len(items), 256), np.int64), [], []
    results = parallel_map(inspect, tasks, f"checking {split}", workers)
    for number, (row, trouble, carries) in enumerate(results):
        counts[number] = row
        troubles.extend(trouble)
        turned.extend([items[number].id] * carries)
    decoded = sum(decode for _, decode in tasks)
    return SplitReport(split, counts, decoded, tuple(turned)), troubles


def inspect_item(
    read_label: Callable[[Item], UInt8[np.ndarray, "h w"]],
    image_fix: str,
    task: tuple[Item, bool],
) -> tuple[Int64[np.ndarray, "256"], list[str], bool]:
    """Pixels of each label value, what is wrong with the item's two files, and whether a photograph
    that was decoded carries an orientation."""
    item, decode = task
    troubles = []
    counts = np.zeros(256, np.int64)
    try:
        counts = pixel_counts(read_label(item))
    except BrokenFileError as error:
        troubles.append(str(error))
    try:
        if decode:
            load_item(item, read_label, image_fix)
        elif not item.image.is_file():
            raise BrokenFileError(f"{item.image} is missing. {image_fix}")
    except BrokenFileError as error:
        if str(error) not in troubles:  # a broken label is met twice
            troubles.append(str(error))
    return counts, troubles, decode and is_turned(item.image)


def _verdict(length: int, official: int | None, fits: bool) -> str:
    if official is None:
        return ""
    if fits:
        return ", the official list"
    return f" (official: {official:,}{', other images' if length == official else ''})"
