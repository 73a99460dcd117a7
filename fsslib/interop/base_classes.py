"""Which base classes a released base learner knows: files do not say, so callers do.

The released BAM, HDMNet and PI-CLIP number base classes by increasing id, background first: 15 of
PASCAL-5i, or 60 of COCO-20i in interleaved folds. With other classes or another order a base
learner would be right about none of them, and nothing would fail.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from fsslib.data.folds import (
    COCO_CLASSES,
    FOLDS,
    PASCAL_CLASSES,
    contiguous_fold,
    interleaved_fold,
)

BENCHMARKS = {"pascal5i": len(PASCAL_CLASSES), "coco20i": len(COCO_CLASSES)}
"""Of the released code, and how many classes they have."""
_CUTS = {
    "pascal5i": {"contiguous": contiguous_fold},
    "coco20i": {"interleaved": interleaved_fold, "contiguous": contiguous_fold},
}


def benchmark_of(classes: int) -> str | None:
    """The benchmark whose folds have so many base classes; None if none of the released code's."""
    sizes = {count - count // FOLDS: name for name, count in BENCHMARKS.items()}
    return sizes.get(classes)


def counted(classes: int) -> str:
    """`15 base classes (as many as a fold of pascal5i has)`."""
    benchmark = benchmark_of(classes)
    return f"{classes} base classes" + (f" (a fold of {benchmark})" if benchmark else "")


def released_classes(classes: int, fold: int, cut: str = "") -> tuple[int, ...]:
    """Ids of the base classes of a fold, in the order of the released code's logits.

    Args:
        classes: how many the file knows.
        cut: "interleaved" or "contiguous"; empty: the released code's.

    Raises:
        ValueError: no benchmark of the released code has so many.
    """
    benchmark = benchmark_of(classes)
    if benchmark is None:
        raise ValueError(f"{classes} base classes are no fold of {[*BENCHMARKS]}; give class_ids=")
    cuts, count = _CUTS[benchmark], BENCHMARKS[benchmark]
    novel = cuts[cut or next(iter(cuts))](count, fold)
    return tuple(number for number in range(1, count + 1) if number not in novel)


def order_trouble(class_ids: Sequence[int]) -> str:
    """Why these cannot be the classes of a released file, with those that can; empty if they can.

    Warns where they can, by the rarer of COCO-20i's two conventions.
    """
    ids = tuple(class_ids)
    ordered = tuple(sorted(set(ids)))
    if ids != ordered:
        return (
            f"base classes {_shown(ids)} are not in the order of the released code, which numbers "
            f"them by increasing id; give {_shown(ordered)}"
        )
    benchmark = benchmark_of(len(ids))
    if benchmark is None or ids[-1] > BENCHMARKS[benchmark]:
        return ""  # of another benchmark
    folds = {
        released_classes(len(ids), fold, cut): (fold, cut)
        for cut in reversed(_CUTS[benchmark])
        for fold in range(FOLDS)
    }
    if ids not in folds:
        near = max(folds, key=lambda known: len(set(known) & set(ids)))
        fold, cut = folds[near]
        return (
            f"base classes {_shown(ids)} are no fold's of {benchmark}; those of fold {fold} "
            f"({cut}) are {_shown(near)}"
        )
    fold, cut = folds[ids]
    if cut != next(iter(_CUTS[benchmark])):
        warnings.warn(
            f"these base classes are of {benchmark}'s {cut} fold {fold}; published files are of "
            "interleaved folds: make sure that this one has not seen the classes that you test",
            stacklevel=4,
        )
    return ""


def _shown(ids: Sequence[int]) -> str:
    return str(tuple(ids)) if len(ids) <= 15 else f"({str(list(ids[:12]))[1:-1]}, …, {ids[-1]})"
