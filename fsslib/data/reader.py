"""From an episode's numbers to its photographs and masks: what loading processes do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsslib.data.augmentation import Augmentation
from fsslib.data.benchmark import Benchmark
from fsslib.data.drawn import DrawnEpisode
from fsslib.data.episode import IGNORE, Episode
from fsslib.data.protocol import Protocol
from fsslib.data.questions import cut_out
from fsslib.data.rendering import shrunk
from fsslib.data.sampler import EpisodeSpec
from fsslib.data.transforms import fit_square


class EpisodeReader:
    """Turns an `EpisodeSpec` into an `Episode` under a protocol.

    Args:
        hidden: classes whose pixels become 255 in training (`novel_in_train="ignore"`).
    """

    def __init__(
        self, benchmark: Benchmark, protocol: Protocol, hidden: Sequence[int] = ()
    ) -> None:
        self.benchmark, self.protocol = benchmark, protocol
        self.hidden = tuple(hidden)

    def read(self, spec: EpisodeSpec) -> Episode:
        """Load, relabel and resize, as tests do."""
        images, labels, names = zip(*self._pictures(spec), strict=True)
        size, fit = self.protocol.image_size, self.protocol.fit
        pairs = (fit_square(*pair, size, fit) for pair in zip(images, labels, strict=True))
        (query_image, *images), (query_mask, *masks) = zip(*pairs, strict=True)
        way, shots = len(spec.classes), len(spec.supports[0])
        return Episode(
            query_image=query_image,
            query_mask=query_mask,
            support_images=_stacked(images, (way, shots, 3, size, size)),
            support_masks=_stacked(masks, (way, shots, size, size)),
            ids=names,
            original_mask=labels[0],
            **self._classes(spec),
        )

    def draw(
        self, spec: EpisodeSpec, augmentation: Augmentation, rng: np.random.Generator
    ) -> DrawnEpisode:
        """Load, relabel and draw how each photograph is augmented; `render()` makes the pixels."""
        images, labels, names = zip(*self._pictures(spec), strict=True)
        size = self.protocol.image_size
        warps = tuple(augmentation.draw(label, size, rng) for label in labels)
        pairs = (
            shrunk(image, label, warp.shrink)
            for image, label, warp in zip(images, labels, warps, strict=True)
        )
        images, labels = zip(*pairs, strict=True)
        return DrawnEpisode(images, labels, warps, size, ids=names, **self._classes(spec))

    def _pictures(self, spec: EpisodeSpec) -> Iterator[tuple[Tensor, Tensor, str]]:
        """Image, mask and id of the query and of each support, at their own sizes."""
        yield self._load(spec, spec.query, spec.classes)
        shown = spec.shown or spec.classes
        for class_id, supports in zip(shown, spec.supports, strict=True):
            # An episode's other class is no background: a support says nothing there.
            others = tuple(c for c in shown if c != class_id)
            for index in supports:
                image, mask, name = self._load(spec, index, (class_id,), others)
                # Another name, too, by which nobody draws the whole picture anew.
                yield (
                    (cut_out(image, mask), mask, f"{name} cut out")
                    if spec.cut_out
                    else (
                        image,
                        mask,
                        name,
                    )
                )

    def _classes(self, spec: EpisodeSpec) -> dict[str, Any]:
        return {
            "class_ids": torch.tensor(spec.classes),
            "class_names": tuple(self.benchmark.name_of(c) for c in spec.named or spec.classes),
            "query_classes": self._query_classes(spec),
        }

    def _query_classes(self, spec: EpisodeSpec) -> tuple[str, ...]:
        """All classes in the query, for methods that are allowed to know (`query_labels`)."""
        if self.protocol.query_labels == "none":
            return ()
        areas = self.benchmark.areas(spec.split)[spec.query]
        return tuple(self.benchmark.name_of(int(c) + 1) for c in np.flatnonzero(areas))

    def _load(
        self, spec: EpisodeSpec, index: int, classes: Sequence[int], others: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, str]:
        sample = self.benchmark.load(spec.split, index)
        image = torch.from_numpy(sample.image).permute(2, 0, 1).contiguous()
        mask = relabel(sample.label, classes, (*self.hidden, *others))
        return image, torch.from_numpy(mask), sample.id


def _stacked(parts: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Parts in order as one tensor; none of them where there is no support."""
    return torch.stack(parts).view(*shape) if parts else torch.zeros(shape, dtype=torch.uint8)


def relabel(label: np.ndarray, classes: Sequence[int], hidden: Sequence[int] = ()) -> np.ndarray:
    """Global label map (h,w) to an episode's: j+1 for classes[j], 255 stays, the rest is 0.

    Pixels of `hidden` classes become 255.
    """
    table = np.zeros(256, np.uint8)
    table[list(hidden)] = IGNORE
    for j, class_id in enumerate(classes):
        table[class_id] = j + 1
    table[IGNORE] = IGNORE
    return table[label]
