"""A benchmark of given label maps, for tests of samplers, readers and scores."""

from collections.abc import Sequence

import numpy as np

from fsslib.data.benchmark import Benchmark, Sample
from fsslib.data.folds import contiguous_fold


class ToyBenchmark(Benchmark):
    """The same labels in both splits; images are noise of the labels' sizes.

    Classes are cut into four folds in order.
    """

    name = "toy"

    def __init__(self, labels: Sequence[np.ndarray], classes: int = 20) -> None:
        self.labels = [np.asarray(label, np.uint8) for label in labels]
        self.class_names = tuple(f"class{c}" for c in range(1, classes + 1))

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        return contiguous_fold(len(self.class_names), fold)

    def areas(self, split: str) -> np.ndarray:
        ids = np.asarray(self.class_ids)
        return np.stack([(label[..., None] == ids).sum((0, 1)) for label in self.labels])

    def load(self, split: str, index: int) -> Sample:
        label = self.labels[index]
        noise = np.random.default_rng(index).integers(0, 256, (*label.shape, 3), dtype=np.uint8)
        return Sample(noise, label, f"{split}/{index}")


def crowded(images: int = 40, classes: int = 20, size: int = 24, seed: int = 0) -> ToyBenchmark:
    """Label maps with a few random squares of random classes and a 255 line."""
    rng = np.random.default_rng(seed)
    labels = []
    for number in range(images):
        label = np.zeros((size, size), np.uint8)
        for _ in range(3):
            top, left = rng.integers(0, size - 8, 2)
            label[top : top + 8, left : left + 8] = rng.integers(1, classes + 1)
        label[:6, :6] = number % classes + 1  # every class has images
        label[-1] = 255
        labels.append(label)
    return ToyBenchmark(labels, classes)
