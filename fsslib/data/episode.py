"""The episode: one query image, and K annotated support images for each of N classes.

The one glossary of the repository; every benchmark makes these and every method takes them.
Images stay uint8 RGB until an encoder's own `preprocess`, so that nobody normalises twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fsslib.data.benchmark import IGNORE as IGNORE


@dataclass(frozen=True)
class Episode:
    """One episode, or a batch of B of them with a leading B on every tensor.

    N is the way (number of classes), K the shot (support images per class). In a batch,
    `original_mask`, `class_names`, `ids` and `query_classes` are tuples with one entry an episode.
    """

    query_image: UInt8[Tensor, "*b 3 h w"]
    query_mask: UInt8[Tensor, "*b h w"]
    """0 background, 1..N the episode's classes in the order of `class_ids`, 255 ignore."""
    support_images: UInt8[Tensor, "*b n k 3 h w"]
    support_masks: UInt8[Tensor, "*b n k h w"]
    """1 the class, 0 background, 255 ignore: borders, and what is another of the N classes."""
    class_ids: Int64[Tensor, "*b n"]
    """Global class ids of the benchmark, starting at 1."""
    class_names: tuple
    ids: tuple
    """Sample ids: the query's first, then the supports' in order."""
    original_mask: UInt8[Tensor, "h0 w0"] | tuple | None = None
    """The query mask before resizing; tests at original resolution are scored on it."""
    query_classes: tuple = ()
    """Names of all classes in the query image: privileged, and only there under a protocol with
    `query_labels="oracle"`. In a batch one tuple an episode."""

    @property
    def batched(self) -> bool:
        return self.query_image.ndim == 4

    @property
    def way(self) -> int:
        return self.support_images.shape[-5]

    @property
    def shot(self) -> int:
        return self.support_images.shape[-4]

    def __len__(self) -> int:
        if not self.batched:
            raise TypeError("a single episode has no length; stack() episodes to a batch first")
        return self.query_image.shape[0]

    def __getitem__(self, number: int) -> Episode:
        """One episode of a batch.

        Raises:
            IndexError: there are fewer.
        """
        if not -len(self) <= number < len(self):
            raise IndexError(f"episode {number} of a batch of {len(self)}")
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Episode(
            **{
                name: part[number] if isinstance(part, Tensor) or part else part
                for name, part in parts.items()
            }
        )

    def to(self, device: torch.device | str) -> Episode:
        """The same episode with its tensors on `device` (the original mask stays where it is)."""
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True)
            for field in fields(self)
            if field.name != "original_mask" and isinstance(getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    def pin_memory(self) -> Episode:
        """Page-locked copies, asked for by the DataLoader on GPU machines."""
        pinned = {
            field.name: getattr(self, field.name).pin_memory()
            for field in fields(self)
            if field.name != "original_mask" and isinstance(getattr(self, field.name), Tensor)
        }
        return replace(self, **pinned)


def stack(episodes: Sequence[Episode]) -> Episode:
    """Stack single episodes of equal size, way and shot to a batch with a leading B."""
    if not episodes:
        raise ValueError("stack() got no episodes; expected at least one")
    shapes = {tuple(episode.support_images.shape) for episode in episodes}
    if len(shapes) > 1:
        raise ValueError(f"episodes differ in (N,K,3,H,W): {sorted(shapes)}; stack equal ones only")
    tensors = {
        name: torch.stack([getattr(episode, name) for episode in episodes])
        for name in ("query_image", "query_mask", "support_images", "support_masks", "class_ids")
    }
    lists = {
        name: tuple(getattr(episode, name) for episode in episodes)
        for name in ("class_names", "ids", "original_mask", "query_classes")
    }
    if not any(lists["query_classes"]):
        lists["query_classes"] = ()
    return Episode(**tensors, **lists)
