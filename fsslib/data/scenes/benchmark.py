"""Scenes-10i as a benchmark: fixed lists of rendered scenes, drawn when they are asked for.

Nothing is stored unless asked for. A list is known from the scenes' plans (which classes each one
holds), and every planned object is visible, so that episodes can be listed without rendering a
picture.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int64

from fsslib.data.benchmark import BENCHMARKS, Benchmark, Sample, Split
from fsslib.data.scenes.classes import CLASS_NAMES, fold_class_ids
from fsslib.data.scenes.kept import KeptScenes
from fsslib.data.scenes.plan import plan_scene
from fsslib.data.scenes.scene import render_scene

SIZES = {"train": 24_000, "val": 4_000}

if TYPE_CHECKING:
    from fsslib.data.protocol import Protocol


@BENCHMARKS.register("scenes10i")
class Scenes10i(Benchmark):
    """The embedded benchmark: 40 classes, four folds of ten, 24,000 and 4,000 scenes.

    Args:
        size: side of the rendered pictures in pixels.
        seed: another seed is another edition of the benchmark; published numbers use 0.
        keep: render each scene once and keep it on disk (1 GB for both splits).
    """

    class_names = known_classes = CLASS_NAMES
    usual: ClassVar = {"image_size": 97, "minimum_object_pixels": 0, "novel_in_train": "drop"}
    rendered = True

    @classmethod
    def open(cls, root: Path | None, protocol: Protocol, keep: bool = False) -> Scenes10i:
        return cls(protocol.image_size, keep=keep)

    def __init__(self, size: int = 97, seed: int = 0, keep: bool = False) -> None:
        self.size, self.seed = size, seed
        scenes = {split: KeptScenes(split, seed, count, size) for split, count in SIZES.items()}
        self.kept = scenes if keep else {}

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        return tuple(fold_class_ids(fold))

    def areas(self, split: Split) -> Int64[np.ndarray, "images classes"]:
        """1 where a scene holds a class: areas are only known once a scene is rendered."""
        return _presence(split, self.seed)

    def picture_ids(self, split: Split) -> tuple[str, ...]:
        return tuple(f"{split}/{self.seed}/{index}" for index in range(SIZES[split]))

    def load(self, split: Split, index: int) -> Sample:
        if not 0 <= index < SIZES[split]:
            raise IndexError(f"scene {index} of {split}: expected 0 to {SIZES[split] - 1}")
        if self.kept:
            image, label = self.kept[split][index]
        else:
            scene = render_scene(split, self.seed, index, self.size)
            image, label = scene.image, scene.label
        return Sample(image, label, f"{split}/{self.seed}/{index}")


@lru_cache(maxsize=8)
def _presence(split: str, seed: int) -> np.ndarray:
    table = np.zeros((SIZES[split], len(CLASS_NAMES)), np.int64)
    for index in range(SIZES[split]):
        table[index, np.asarray(plan_scene(split, seed, index).class_ids) - 1] = 1
    table.flags.writeable = False
    return table
