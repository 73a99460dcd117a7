"""Class names and folds of the benchmarks: which classes are novel in which fold.

Class ids start at 1 in the order of the name tuples; 0 is background. COCO-20i exists in two
conventions that share a name: *interleaved* (FWB; fold f holds f+1, f+5, …: PFENet, BAM, HDMNet,
PI-CLIP, QGNet, HSNet) and *contiguous* (PANet; blocks of twenty). Numbers of one say nothing
about numbers of the other.
"""

from __future__ import annotations

from typing import Literal

CocoFolds = Literal["interleaved", "contiguous"]

PASCAL_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle"),
    *("bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

COCO_CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)

FOLDS = 4


def contiguous_fold(classes: int, fold: int) -> tuple[int, ...]:
    """Novel class ids of `fold` when `classes` ids are cut into four blocks in order."""
    _check_fold(fold)
    size = classes // FOLDS
    return tuple(range(fold * size + 1, (fold + 1) * size + 1))


def interleaved_fold(classes: int, fold: int) -> tuple[int, ...]:
    """Novel class ids of `fold` when every fourth id belongs to it: fold+1, fold+5, …"""
    _check_fold(fold)
    return tuple(range(fold + 1, classes + 1, FOLDS))


def _check_fold(fold: int) -> None:
    if fold not in range(FOLDS):
        raise ValueError(f"fold={fold!r}: expected 0, 1, 2 or 3")
