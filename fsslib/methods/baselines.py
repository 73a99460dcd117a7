"""Rows that every table needs: what a score is worth is seen beside these.

None of them has a parameter of its own. `AllForeground` is the floor that a large object alone
gives; `PriorThreshold` asks how far PFENet's prior mask goes by itself; `MaskedAveragePrototype`
is PANet's decision rule (Wang et al., ICCV 2019) on frozen features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods.base import (
    METHODS,
    FewShotSegmenter,
    Prediction,
    binary_logits,
    foreground,
    require_one_way,
)
from fsslib.methods.features import masked_stages, middle_features
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.priors.similarity import prior_mask
from fsslib.settings import Fraction, Settings


@dataclass(frozen=True)
class ThresholdConfig(Settings):
    """Where the baselines that cut a map cut it."""

    threshold: Fraction = 0.5
    """Of a map in 0..1."""


@dataclass(frozen=True)
class PriorThresholdConfig(ThresholdConfig):
    """The same for PFENet's prior mask, which is stretched to 0..1."""

    threshold: Fraction = 0.7


@METHODS.register("all_foreground")
class AllForeground(FewShotSegmenter):
    """Calls every pixel foreground."""

    trainable = False
    parts: ClassVar = {}

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "AllForeground")
        shape, device = episodes.query_mask.shape, episodes.query_mask.device
        return Prediction(binary_logits(torch.ones(shape, device=device)))


@METHODS.register("prior_threshold")
class PriorThreshold(FewShotSegmenter):
    """PFENet's prior mask cut at a threshold."""

    trainable = False
    config_class = PriorThresholdConfig
    scored_maps = ("prior",)

    def __init__(self, backbone: StageBackbone, config: PriorThresholdConfig | None = None) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config or PriorThresholdConfig()

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "PriorThreshold")
        masks = foreground(episodes.support_masks[:, 0])
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        query, support = self.backbone(episodes.query_image), self.backbone.preprocess(images)
        layer4 = masked_stages(self.backbone, support, masks)[0].layer4
        prior, _ = prior_mask(query.layer4, layer4.unflatten(0, masks.shape[:2]), masks)
        full = resize(prior, episodes.query_mask.shape[-2:])[:, 0]
        return Prediction(binary_logits(full - self.config.threshold), {"prior": prior})


@METHODS.register("clip_prior")
class ClipPriorThreshold(FewShotSegmenter):
    """PI-CLIP's visual-text prior cut at a threshold: a word, a CLIP, and no training at all.

    Without VTP the mean of the visual-visual prior's maps takes its place.
    """

    trainable = False
    config_class = ThresholdConfig
    parts: ClassVar = {"clip": ClipPriors}
    fixed_prior = "pi_clip"

    def __init__(self, clip: ClipPriors, config: ThresholdConfig | None = None) -> None:
        super().__init__()
        self.clip, self.config = clip, config or ThresholdConfig()
        self.scored_maps = ("vtp",) if clip.config.vtp else ()

    @classmethod
    def reads_names(cls, config: ThresholdConfig) -> bool:
        return True

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "ClipPriorThreshold")
        maps = self.clip(episodes)
        prior = maps.vvp.mean(1, keepdim=True) if maps.vtp is None else maps.vtp
        full = resize(prior, episodes.query_mask.shape[-2:])[:, 0]
        return Prediction(binary_logits(full - self.config.threshold), maps.named())


@METHODS.register("prototype")
class MaskedAveragePrototype(FewShotSegmenter):
    """Nearest of two prototypes, foreground and background of the support, by cosine.

    Features are the concatenated layer3 and layer2, frozen. Each shot is pooled, then averaged.
    """

    trainable = False

    def __init__(self, backbone: StageBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "MaskedAveragePrototype")
        masks = episodes.support_masks[:, 0]
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        query = middle_features(self.backbone(episodes.query_image))
        support = middle_features(self.backbone(images))
        maps = [
            F.cosine_similarity(query, self._prototype(support, masks == value), dim=1)
            for value in (0, 1)
        ]  # background, foreground: (B, h, w) each
        scores = resize(torch.stack(maps, 1), episodes.query_mask.shape[-2:])
        return Prediction(scores, {"similarity": maps[1][:, None]})

    @staticmethod
    def _prototype(support: Float[Tensor, "bk c h w"], chosen: Tensor) -> Float[Tensor, "b c 1 1"]:
        soft = resize(chosen.flatten(0, 1)[:, None].float(), support.shape[-2:])
        return masked_average(support, soft).unflatten(0, chosen.shape[:2]).mean(1)
