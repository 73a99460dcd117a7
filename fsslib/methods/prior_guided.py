"""What PFENet, BAM and HDMNet share: a frozen backbone, and prior maps that come from somewhere.

The prior is the one thing that PI-CLIP changes. `prior="own"` is the method as published,
`"pi_clip"` puts PI-CLIP's maps in its place (not beside it), `"none"` gives the decoder no map.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.layers.resize import resize
from fsslib.methods.base import FewShotSegmenter, Prediction, foreground, require_one_way
from fsslib.methods.pi_clip.config import ClipMaps
from fsslib.methods.pi_clip.priors import ClipPriors

Prior = Literal["own", "pi_clip", "none"]
SupportMask = Literal["both", "before", "behind"]
"""Where the support's mask meets its highest features: before layer4, behind it, or both."""


class PriorGuided(FewShotSegmenter):
    """A binary method over a backbone whose decoder reads prior maps.

    Args:
        prior: where they come from.
        clip: makes them, for "pi_clip".

    Raises:
        ValueError: "pi_clip" without `clip`, or `clip` with another prior.
    """

    frozen = ("backbone", "clip")
    shot: int
    """Supports of an episode that a method was built for."""
    vvp_layers = 1
    """Of how many of CLIP's blocks PI-CLIP's VVP is read, one channel a shot each."""
    repeat_vtp = 1
    """How many channels PI-CLIP's VTP fills."""

    def __init__(
        self, backbone: StageBackbone, prior: str = "own", clip: ClipPriors | None = None
    ) -> None:
        super().__init__()
        if prior not in ("own", "pi_clip", "none"):
            raise ValueError(f"prior={prior!r}: expected 'own', 'pi_clip' or 'none'")
        if (prior == "pi_clip") != (clip is not None):
            need = (
                "needs clip=ClipPriors(…)" if clip is None else "does not read clip=; leave it out"
            )
            raise ValueError(f"prior={prior!r} {need}")
        self.backbone, self.prior, self.clip = backbone, prior, clip

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, type(self).__name__)
        query = self.backbone.preprocess(episodes.query_image)
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        masks = foreground(episodes.support_masks[:, 0])
        maps = None if self.clip is None else self.clip(episodes, self.vvp_layers)
        support = self.backbone.preprocess(images)
        prediction = self.predict(query, support, masks, maps, episodes.class_ids[:, 0])
        if maps is None:
            return prediction
        return replace(prediction, maps=prediction.maps | maps.named())

    @abstractmethod
    def predict(
        self,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
        maps: ClipMaps | None = None,
        class_ids: Tensor | None = None,
    ) -> Prediction:
        """The network on already normalised images.

        Args:
            masks: 0 or 1.
            maps: PI-CLIP's, for `prior="pi_clip"`.
            class_ids: the episodes' classes, for methods that know their base classes.
        """

    def require_shot(self, shots: int) -> None:
        """ValueError unless episodes have as many supports as the decoder was built for."""
        if shots != self.shot:
            raise ValueError(
                f"episodes have {shots} supports and this {type(self).__name__} was built for "
                f"{self.shot}; build it with shot={shots} and train it so"
            )

    def channels(self, own: int, shots: int) -> int:
        """How many prior maps the decoder reads; `own` is the method's count."""
        if self.clip is not None:
            return self.clip.channels(shots, self.repeat_vtp, self.vvp_layers)
        return own if self.prior == "own" else 0


def masked_stages(
    backbone: StageBackbone,
    support: Float[Tensor, "bk 3 h w"],
    masks: Float[Tensor, "b k h w"],
    masked: bool = True,
) -> tuple[Stages, Float[Tensor, "bk 1 hf wf"]]:
    """Support features with layer4 computed on masked layer3 (unless `masked` is False), and the
    soft mask on the grid."""
    layer2, layer3 = backbone.middle(support)
    soft = resize(masks.flatten(0, 1)[:, None], layer3.shape[-2:])
    return Stages(layer2, layer3, backbone.last(layer3 * soft if masked else layer3)), soft


def middle_features(stages: Stages) -> Float[Tensor, "b c h w"]:
    """cat[layer3, layer2] in the official order, layer2 brought to layer3's grid (VGG)."""
    layer2 = stages.layer2
    if layer2.shape[-2:] != stages.layer3.shape[-2:]:
        layer2 = resize(layer2, stages.layer3.shape[-2:])
    return torch.cat([stages.layer3, layer2], 1)


def reduction(backbone: StageBackbone, dim: int, dropout: float = 0.5) -> nn.Sequential:
    """Middle features to `dim` channels."""
    channels = backbone.channels[0] + backbone.channels[1]
    return nn.Sequential(
        nn.Conv2d(channels, dim, 1, bias=False), nn.ReLU(inplace=True), nn.Dropout2d(dropout)
    )
