"""PFENet: prior guided feature enrichment (Tian, Zhao, Shu, Yang, Li, Jia; TPAMI 2020).

A frozen classification network, a training-free prior mask from its highest layer, a prototype
from its middle layers, and the FEM decoder. Follows the released code where the paper is silent:

* the support mask is applied before layer4 *and* again after it (`support_mask` leaves one out;
  the authors say that the second matters more);
* support pixels of label 255 count as background;
* the paper's numbers were trained with BatchNorm in training mode and at ten times the learning
  rate its config states; here BatchNorm is frozen (`official_bn` brings it back) and the rate is
  the one number in the training config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import classifier
from fsslib.layers.fem import FeatureEnrichment
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods.base import METHODS, OfficialNames, Prediction
from fsslib.methods.features import EpisodeFeatures, SupportMask, reduction
from fsslib.methods.prior_guided import PriorGuided
from fsslib.methods.prior_source import PRIORS, Maps, PriorSource
from fsslib.methods.shapes import Shapes
from fsslib.priors.similarity import prior_mask
from fsslib.settings import Count, Fraction, NonNegative, Positive, Settings

BACKBONE_NAMES: OfficialNames = (
    (r"backbone\.stem\.", "layer0."),
    (r"backbone\.(layer[1-4])\.", r"\1."),
)
REDUCTION_NAMES: OfficialNames = (
    (r"reduce_query\.", "down_query."),
    (r"reduce_support\.", "down_supp."),
)
FEM_NAMES: OfficialNames = (
    (r"fem\.alpha\.", "alpha_conv."),
    (r"fem\.beta\.", "beta_conv."),
    (r"fem\.inner\.", "inner_cls."),
    (r"fem\.fuse\.", "res1."),
    (r"fem\.refine\.", "res2."),
    (r"classifier\.", "cls."),
)


@PRIORS.register("pfenet")
class PFENetPrior(PriorSource):
    """PFENet's prior mask (Eqs. 1-4): how much each query cell resembles the support's object at
    most. One map; each shot's own is shown as `prior_per_shot` (B,K,h,w)."""

    def channels(self, shot: int) -> int:
        return 1

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        with torch.no_grad():
            support = features.support_layer4  # first: while it is made, memory is scarcest
            prior, per_shot = prior_mask(features.query_layer4, support, features.compared_masks)
        features.shown["prior_per_shot"] = per_shot
        if (weights := features.shot_weights) is not None:  # BAM's, which learn
            prior = (weights[..., None, None] * per_shot).sum(1, keepdim=True)
        return {"prior_mask": prior}


@dataclass(frozen=True)
class PFENetConfig(Settings):
    """Numbers of PFENet; `preset` gives the paper's and the embedded benchmark's."""

    shot: Count = 1
    """Supports of an episode; matters to priors with maps for each of them, such as PI-CLIP's."""
    dim: Count = 256
    """Channels of the reduced features, the prototype and the decoder."""
    scales: tuple[Positive, ...] = (60, 30, 15, 8)
    """Grid sizes of the FEM, finest first; up to 1 they are fractions of the feature size."""
    reduce_dropout: Fraction = 0.5
    loss: LossName = "cross_entropy"
    auxiliary_weight: NonNegative = 1.0
    """Weight of the mean loss over the scales' inner predictions (paper: sigma = 1)."""
    support_mask: SupportMask = "both"
    """Where the support's mask is applied for the prior mask."""
    official_bn: bool = False
    """Leave BatchNorm in training mode while training, as the released code does. With several
    shots its statistics are of all of them, there of one shot at a time."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: PASCAL-5i at 473. `official`: the same with the code's BatchNorm.
        `fractions`: scales relative to the features (VGG, COCO, other sizes). `scenes`: the
        embedded benchmark, smaller, with a balanced loss."""
        fractions = (1, 0.5, 0.25, 0.125)
        return {
            "paper": {},
            "official": {"official_bn": True},
            "fractions": {"scales": fractions},
            "scenes": {
                "dim": 64,
                "scales": (1, 0.5, 0.25),
                "loss": "cross_entropy_dice",
            },
        }


@METHODS.register("pfenet")
class PFENet(PriorGuided):
    """PFENet over any stage backbone.

    Its maps: `prior` (B,M,h,w) as the FEM reads it, and those of its prior source, of its own
    `prior_mask` (B,1,h,w) and `prior_per_shot` (B,K,h,w).
    """

    config_class = PFENetConfig
    official_names = (
        *BACKBONE_NAMES,
        *REDUCTION_NAMES,
        (r"fem\.merge\.", "init_merge."),
        *FEM_NAMES,
    )

    def __init__(
        self,
        backbone: StageBackbone,
        config: PFENetConfig | None = None,
        prior: PriorSource | None = None,
    ) -> None:
        config = config or PFENetConfig()
        backbone = backbone.copied(moving_statistics=True) if config.official_bn else backbone
        super().__init__(backbone, prior, config.shot)
        self.config, self.support_mask = config, config.support_mask
        self.reduce_query = reduction(backbone, config.dim, config.reduce_dropout)
        self.reduce_support = reduction(backbone, config.dim, config.reduce_dropout)
        self.fem = FeatureEnrichment(config.dim, self.channels, config.scales)
        self.classifier = classifier(config.dim)
        self.plug_in(prior)

    def own_prior(self) -> PriorSource:
        return PFENetPrior()

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        return {
            "dim": shapes.axis("reduce_query.0.weight", 0),
            "scales": shapes.count("fem.merge.{}.0.weight"),
        }

    @classmethod
    def shown_channels(cls, shapes: Shapes) -> int | None:
        merged = shapes.pair("fem.merge.0.0.weight")
        return merged and merged[1] - 2 * merged[0]

    def decode(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        query = self.reduce_query(features.query_middle)
        support = self.reduce_support(features.support_middle)
        pooled = masked_average(support, features.soft_masks)
        prototype = pooled.unflatten(0, (-1, features.shots)).mean(1)  # (B, D, 1, 1)
        prior, named = self.prior_maps(features, maps, episodes)
        enriched, inner = self.fem(query, prototype, prior)
        logits = resize(self.classifier(enriched), features.query.shape[-2:])
        return Prediction(logits, named, inner)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, and `auxiliary`: the weighted mean over the inner predictions (Eq. 8)."""
        mask, name = episodes.query_mask, self.config.loss
        inner = [segmentation_loss(logits, mask, name) for logits in prediction.auxiliary_logits]
        return {
            "main": segmentation_loss(prediction.logits, mask, name),
            "auxiliary": self.config.auxiliary_weight * torch.stack(inner).mean(),
        }
