"""Training episodes between loading and the device: photographs as they are, and what is drawn.

Loading processes decide (`Augmentation.draw`) and hand photographs of different sizes on; `render`
makes the square `Episode` of them where the batch is used. What is drawn is a function of the
training's seed and the episode's number, equal for any device and number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fsslib.data.augmentation import Warp
from fsslib.data.episode import IGNORE, Episode, stack
from fsslib.data.rendering import render


@dataclass(frozen=True)
class DrawnEpisode:
    """One episode whose pixels are still to be made."""

    photographs: tuple[UInt8[Tensor, "3 _h _w"], ...]
    """The query's, then the supports' in order, shrunk as their warps say."""
    labels: tuple[UInt8[Tensor, "_h _w"], ...]
    """Their masks, in the values of `Episode`."""
    warps: tuple[Warp, ...]
    size: int
    """Side of the network input."""
    class_ids: Int64[Tensor, " n"]
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    query_classes: tuple[str, ...] = ()

    def render(self, device: torch.device | str = "cpu") -> Episode:
        """The episode, without a leading B."""
        batch = DrawnEpisodes.of([self]).render(device)
        values = {field.name: getattr(batch, field.name) for field in fields(batch)}
        single = {name: value[0] for name, value in values.items() if len(value)}
        return replace(batch, **single)


@dataclass(frozen=True)
class DrawnEpisodes:
    """A batch of B such episodes, P photographs each: one for the query and N * K supports."""

    photographs: UInt8[Tensor, "b*p 3 h w"]
    """Top left in tensors with room for the largest."""
    labels: UInt8[Tensor, "b*p h w"]
    shapes: tuple[tuple[int, int], ...]
    """Height and width of each photograph."""
    warps: tuple[Warp, ...]
    size: int
    class_ids: Int64[Tensor, "b n"]
    class_names: tuple[tuple[str, ...], ...]
    ids: tuple[tuple[str, ...], ...]
    query_classes: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, episodes: Sequence[DrawnEpisode]) -> DrawnEpisodes:
        """A batch of episodes of equal size, way and shot."""
        kinds = {(e.size, len(e.class_ids), len(e.ids)) for e in episodes}
        if len(kinds) != 1:
            raise ValueError(
                f"episodes differ in (size, way, photographs): {sorted(kinds)}; batch only equal "
                "ones, and at least one"
            )
        photographs = [photograph for e in episodes for photograph in e.photographs]
        labels = [label for e in episodes for label in e.labels]
        known = tuple(e.query_classes for e in episodes)
        return cls(
            _padded(photographs, 0),
            _padded(labels, IGNORE),
            tuple((label.shape[0], label.shape[1]) for label in labels),
            tuple(warp for e in episodes for warp in e.warps),
            episodes[0].size,
            torch.stack([e.class_ids for e in episodes]),
            tuple(e.class_names for e in episodes),
            tuple(e.ids for e in episodes),
            known if any(known) else (),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def pin_memory(self) -> DrawnEpisodes:
        """Page-locked copies, asked for by the DataLoader on GPU machines."""
        tensors = {name: getattr(self, name) for name in ("photographs", "labels", "class_ids")}
        return replace(self, **{name: tensor.pin_memory() for name, tensor in tensors.items()})

    def render(self, device: torch.device | str = "cpu") -> Episode:
        """The batch as network inputs on `device`; there is no original mask to score on."""
        photographs, labels, class_ids = (
            tensor.to(device, non_blocking=True)
            for tensor in (self.photographs, self.labels, self.class_ids)
        )
        images, masks = render(photographs, labels, self.shapes, self.warps, self.size)
        count, way = self.class_ids.shape
        images = images.view(count, -1, *images.shape[1:])
        masks = masks.view(count, -1, *masks.shape[1:])
        shot = (images.shape[1] - 1) // way
        return Episode(
            query_image=images[:, 0].contiguous(),
            query_mask=masks[:, 0].contiguous(),
            support_images=images[:, 1:].unflatten(1, (way, shot)).contiguous(),
            support_masks=masks[:, 1:].unflatten(1, (way, shot)).contiguous(),
            class_ids=class_ids,
            class_names=self.class_names,
            ids=self.ids,
            original_mask=(None,) * count,
            query_classes=self.query_classes,
        )


def collate(episodes: Sequence[Episode | DrawnEpisode]) -> Episode | DrawnEpisodes:
    """A batch of either kind, for the DataLoader."""
    return DrawnEpisodes.of(episodes) if isinstance(episodes[0], DrawnEpisode) else stack(episodes)


def _padded(parts: Sequence[Tensor], value: int) -> Tensor:
    """Stacked top left in a tensor with room for the largest."""
    sides = [max(part.shape[dim] for part in parts) for dim in (-2, -1)]
    batch = parts[0].new_full((len(parts), *parts[0].shape[:-2], *sides), value)
    for place, part in zip(batch, parts, strict=True):
        place[..., : part.shape[-2], : part.shape[-1]] = part
    return batch
