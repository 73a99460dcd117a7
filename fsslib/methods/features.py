"""Frozen features of an episode's pictures, each made when it is first read, and once.

Methods and priors ask for what they read; what nobody asks for is not computed. A support's mask
meets its features in one of four ways, and the papers differ in which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.layers.resize import resize

SupportMask = Literal["both", "before", "after", "picture"]
"""Where a support's mask is applied: to layer3 before layer4 computes on it, to layer4 when it is
compared, both, or to the picture itself (HDMNet)."""
Embed = Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b d h w"]]


class EpisodeFeatures:
    """Features of B queries and of their K supports each, without gradient.

    Args:
        query, support: normalised images.
        masks: 1 is the object, 0 everything else.
        embed: of layer4, where a base learner has one (HDMNet's prior reads it).

    Attributes:
        shot_weights: (B,K), where a method weighs its supports (BAM); None: all alike.
        shown: maps that no decoder reads, for lessons and widgets, by name.
    """

    def __init__(
        self,
        backbone: StageBackbone,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
        support_mask: SupportMask = "both",
        embed: Embed | None = None,
    ) -> None:
        self.backbone, self.masks, self.support_mask = backbone, masks, support_mask
        self.query = query
        flat = masks.flatten(0, 1)[:, None]
        self.support = support * flat if support_mask == "picture" else support
        self._embed = embed
        self.shot_weights: Tensor | None = None
        self.shown: dict[str, Tensor] = {}

    @property
    def shots(self) -> int:
        return self.masks.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of layer3, on which decoders work."""
        return tuple(self.query_stages[1].shape[-2:])

    @cached_property
    @torch.no_grad()
    def query_stages(self) -> tuple[Tensor, Tensor]:
        """layer2 and layer3."""
        return self.backbone.middle(self.query)

    @cached_property
    @torch.no_grad()
    def support_stages(self) -> tuple[Tensor, Tensor]:
        """layer2 and layer3, (B K, C, h, w)."""
        return self.backbone.middle(self.support)

    @property
    def query_middle(self) -> Float[Tensor, "b c h w"]:
        """layer3 and layer2 side by side."""
        return middle_features(Stages(*self.query_stages, layer4=None))

    @property
    def support_middle(self) -> Float[Tensor, "bk c h w"]:
        """layer3 and layer2 side by side."""
        return middle_features(Stages(*self.support_stages, layer4=None))

    @cached_property
    @torch.no_grad()
    def soft_masks(self) -> Float[Tensor, "bk 1 h w"]:
        """The supports' masks on layer3's grid."""
        return resize(self.masks.flatten(0, 1)[:, None], self.support_stages[1].shape[-2:])

    @cached_property
    @torch.no_grad()
    def query_layer4(self) -> Float[Tensor, "b c h w"]:
        return self.backbone.last(self.query_stages[1])

    @cached_property
    @torch.no_grad()
    def support_layer4(self) -> Float[Tensor, "b k c h w"]:
        """Computed on masked layer3, or on all of it, as `support_mask` says."""
        mask = self.soft_masks if self.support_mask in ("both", "before") else None
        layer4 = self.backbone.last(self.support_stages[1], mask)
        return layer4.unflatten(0, (-1, self.shots))

    @property
    def compared_masks(self) -> Float[Tensor, "b k h w"]:
        """The mask that layer4 is given when it is compared: ones where it has been masked before
        and only there."""
        return torch.ones_like(self.masks) if self.support_mask == "before" else self.masks

    @cached_property
    @torch.no_grad()
    def query_embedding(self) -> Float[Tensor, "b d h w"]:
        """The base learner's embedding of layer4.

        Raises:
            ValueError: the method has no base learner.
        """
        return self._embedded(self.query_layer4)

    @cached_property
    @torch.no_grad()
    def support_embedding(self) -> Float[Tensor, "b k d h w"]:
        """Like `query_embedding`."""
        return self._embedded(self.support_layer4.flatten(0, 1)).unflatten(0, (-1, self.shots))

    def _embedded(self, layer4: Tensor) -> Tensor:
        if self._embed is None:
            raise ValueError(
                "this prior reads a base learner's embedding, and the method has no base learner; "
                "use it on BAM or HDMNet"
            )
        return self._embed(layer4)


def masked_stages(
    backbone: StageBackbone, support: Float[Tensor, "bk 3 h w"], masks: Float[Tensor, "b k h w"]
) -> tuple[Stages, Float[Tensor, "bk 1 hf wf"]]:
    """Support features with layer4 computed on masked layer3, and the soft mask on the grid."""
    layer2, layer3 = backbone.middle(support)
    soft = resize(masks.flatten(0, 1)[:, None], layer3.shape[-2:])
    return Stages(layer2, layer3, backbone.last(layer3, soft)), soft


def middle_features(stages: Stages) -> Float[Tensor, "b c h w"]:
    """cat[layer3, layer2] in the official order, layer2 brought to layer3's grid (VGG)."""
    layer2, layer3 = stages.layer2, stages.layer3
    if layer2.shape[-2:] != layer3.shape[-2:]:
        layer2 = resize(layer2, layer3.shape[-2:])
    return torch.cat([layer3, layer2], 1)


def reduction(backbone: StageBackbone, dim: int, dropout: float = 0.5) -> nn.Sequential:
    """Middle features to `dim` channels: 1x1 convolution, ReLU, channel dropout."""
    channels = backbone.channels[0] + backbone.channels[1]
    return nn.Sequential(
        nn.Conv2d(channels, dim, 1, bias=False), nn.ReLU(inplace=True), nn.Dropout2d(dropout)
    )
