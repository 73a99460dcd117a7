"""Features of a frozen backbone, with a memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import VGG16
from fsslib.encoders.weights import state_digest


class FrozenFeatures:
    """`read(backbone, images)`, asked once for each picture if there is a cache.

    No module: the backbone stays where it is, and nothing here is part of a state dict.

    Args:
        read: what of the backbone is wanted; its name goes into the cache's keys.
    """

    def __init__(
        self,
        backbone: StageBackbone,
        read: Callable[[StageBackbone, Tensor], Tensor],
        cache: Cache | None = None,
    ) -> None:
        self.backbone, self.read, self.cache = backbone, read, cache or PassCache()

    @cached_property
    def _kind(self) -> str:
        """What features depend on besides the picture: layers with their strides, and weights."""
        about = repr(self.backbone) + state_digest(self.backbone.state_dict())
        return f"{self.read.__name__}-{hashlib.sha256(about.encode()).hexdigest()[:24]}"

    @torch.no_grad()
    def __call__(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hf wf"]:
        """Of uint8 images."""
        (features,) = self.cache.collect(self._kind, images, self._made)
        return features

    def _made(self, images: Tensor) -> tuple[Tensor]:
        return (self.read(self.backbone, images),)


def fine_features(
    backbone: StageBackbone, images: Shaped[Tensor, "b 3 h w"]
) -> Float[Tensor, "b c hf wf"]:
    """layer3 and layer2 side by side, on the grid of stride 8. VGG's layer3 is read before its
    pooling (relu4_3), so that nothing has to be enlarged."""
    layer2 = backbone.layer2(backbone.layer1(backbone.stem(backbone.preprocess(images))))
    stage = backbone.layer3[:-1] if isinstance(backbone, VGG16) else backbone.layer3
    return torch.cat([stage(layer2), layer2], 1)
