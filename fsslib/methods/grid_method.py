"""What training-free methods on frozen cells share: an encoder, and one episode after the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.grid import GridEncoder
from fsslib.methods.base import FewShotSegmenter, Prediction, require_batch, require_one_way
from fsslib.settings import Pixels, Settings


@dataclass(frozen=True)
class GridConfig(Settings):
    """What methods on cells have in common."""

    size: Pixels | None = None
    """Side of the pictures that the encoder sees; None: as they are. Rounded to whole patches."""


class Cells(NamedTuple):
    """One episode on the encoder's grid: N classes, K shots."""

    query: Float[Tensor, "c h w"]
    support: Float[Tensor, "n k c h w"]
    masks: UInt8[Tensor, "n k rows columns"]
    """As the episode has them, in pixels."""
    image: UInt8[Tensor, "3 height width"]
    """The query picture."""

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(self.query.shape[-2:])


class OneAnswer(NamedTuple):
    """What a method says about one episode."""

    logits: Float[Tensor, "n1 rows columns"]
    maps: dict[str, Tensor]
    """Of one size in every episode."""


class GridMethod(FewShotSegmenter):
    """Base class: `answer` one episode from its cells. Nothing is trained.

    Attributes:
        after_norm: whether the paper reads tokens after the encoder's final norm.
        on_host: whether answers are made in the host's memory, whatever device the encoder is on:
            pools, clusters, graphs and assignments have sizes that data decide, and scipy makes
            some of them. All of a batch comes over in one copy.
    """

    trainable = False
    parts: ClassVar = {"encoder": GridEncoder}
    frozen = ("encoder",)
    config_class = GridConfig
    usual_preset = "official"
    after_norm: ClassVar[bool] = True
    on_host: ClassVar[bool] = True

    def __init__(self, encoder: GridEncoder, config: GridConfig | None = None) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config or self.config_class()

    @abstractmethod
    def answer(self, cells: Cells) -> OneAnswer:
        """Logits at the query picture's size, and maps."""

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        check = require_one_way if self.binary else require_batch
        check(episodes, type(self).__name__)
        answers = [self.answer(cells) for cells in self.cells(episodes)]
        device = episodes.query_image.device
        logits, *maps = (
            torch.stack(parts).to(device, non_blocking=True)
            for parts in zip(*((each.logits, *each.maps.values()) for each in answers), strict=True)
        )
        return Prediction(logits, dict(zip(answers[0].maps, maps, strict=True)))

    def cells(self, episodes: Episode) -> list[Cells]:
        """Features of a batch, episode by episode."""
        shape = episodes.support_images.shape[:3]
        query = self._features(episodes.query_image)
        support = self._features(episodes.support_images.flatten(0, 2)).unflatten(0, shape)
        parts = (query, support, episodes.support_masks, episodes.query_image)
        whole = together(parts) if self.on_host else parts
        return [Cells(*each) for each in zip(*whole, strict=True)]

    def _features(self, images: Tensor) -> Tensor:
        return self.encoder(images, norm=self.after_norm, size=self.config.size).float()


def together(parts: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one device in the host's memory, by a single copy."""
    if all(part.device.type == "cpu" for part in parts):
        return list(parts)
    flat = torch.cat([part.flatten().float() for part in parts]).cpu()
    pieces = flat.split([part.numel() for part in parts])
    return [
        piece.view(part.shape).to(part.dtype) for piece, part in zip(pieces, parts, strict=True)
    ]


def enlarge(maps: Float[Tensor, "*n h w"], size: tuple[int, int]) -> Float[Tensor, "*n r c"]:
    """Maps at a picture's size, bilinearly, corners not aligned."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    full = F.interpolate(flat, tuple(size), mode="bilinear", align_corners=False)
    return full.reshape(*maps.shape[:-2], *size)


def binary(margin: Float[Tensor, "h w"]) -> Float[Tensor, "2 h w"]:
    """Logits of background and object whose arg max is the object where the margin is positive."""
    return torch.stack([torch.zeros_like(margin), margin])
