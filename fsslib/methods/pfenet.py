"""PFENet: prior guided feature enrichment (Tian, Zhao, Shu, Yang, Li, Jia; TPAMI 2020).

A frozen classification network, a training-free prior mask from its highest layer, a prototype
from its middle layers, and the FEM decoder. Follows the released code where the paper is silent:

* the support mask is applied before layer4 *and* again behind it (`support_mask` leaves one out;
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
from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.layers.blocks import classifier
from fsslib.layers.fem import FeatureEnrichment
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods.base import Prediction
from fsslib.methods.pi_clip.config import ClipMaps
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.prior_guided import (
    Prior,
    PriorGuided,
    SupportMask,
    masked_stages,
    middle_features,
    reduction,
)
from fsslib.priors.similarity import prior_mask
from fsslib.settings import Count, Fraction, NonNegative, Settings


@dataclass(frozen=True)
class PFENetConfig(Settings):
    """Numbers of PFENet; `preset` gives the paper's and the embedded benchmark's."""

    prior: Prior = "own"
    """Its own prior mask, PI-CLIP's maps in its place, or none."""
    shot: Count = 1
    """Supports of an episode; only PI-CLIP's maps depend on it, one for each."""
    dim: Count = 256
    """Channels of the reduced features, the prototype and the decoder."""
    scales: tuple[float, ...] = (60, 30, 15, 8)
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


class PFENet(PriorGuided):
    """PFENet over any stage backbone. Its maps: `prior` (B,M,h,w) as the FEM reads them, and
    `prior_per_shot` (B,K,h,w) of its own."""

    own_maps = 1
    """How many prior maps the FEM reads with `prior="own"`."""

    def __init__(
        self,
        backbone: StageBackbone,
        config: PFENetConfig | None = None,
        clip: ClipPriors | None = None,
    ) -> None:
        config = config or PFENetConfig()
        backbone = backbone.copied(moving_statistics=True) if config.official_bn else backbone
        super().__init__(backbone, config.prior, clip)
        self.config, self.shot = config, config.shot
        self.reduce_query = reduction(backbone, config.dim, config.reduce_dropout)
        self.reduce_support = reduction(backbone, config.dim, config.reduce_dropout)
        maps = self.channels(self.own_maps, config.shot)
        self.fem = FeatureEnrichment(config.dim, maps, config.scales)
        self.classifier = classifier(config.dim)

    def predict(
        self,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
        maps: ClipMaps | None = None,
        class_ids: Tensor | None = None,
    ) -> Prediction:
        shots = masks.shape[1]
        if maps is not None:
            self.require_shot(shots)
        with torch.no_grad():
            q = self.backbone.stages(query)
            where = self.config.support_mask
            s, soft = masked_stages(self.backbone, support, masks, where != "behind")
            s4 = s.layer4.unflatten(0, (-1, shots))
            compared = torch.ones_like(masks) if where == "before" else masks
            prior, per_shot = prior_mask(q.layer4, s4, compared)
        features = self.reduce_query(middle_features(q))
        pooled = masked_average(self.reduce_support(middle_features(s)), soft)
        prototype = pooled.unflatten(0, (-1, shots)).mean(1)  # (B, D, 1, 1)
        grid = features.shape[-2:]
        prior = self.own_prior(query, q, prior, grid) if maps is None else maps.on(grid)
        prior = prior[:, :0] if self.prior == "none" else prior
        enriched, inner = self.fem(features, prototype, prior)
        logits = resize(self.classifier(enriched), query.shape[-2:])
        return Prediction(logits, {"prior": prior, "prior_per_shot": per_shot}, inner)

    def own_prior(
        self, query: Tensor, stages: Stages, prior: Tensor, grid: tuple[int, int]
    ) -> Float[Tensor, "b m h w"]:
        """The prior mask on the features' grid; QGNet adds a map of its own.

        Args:
            query: normalised images, and `stages` their features.
            prior: the prior mask as it was made, on layer4's grid.
        """
        return resize(prior, grid)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, and `auxiliary`: the weighted mean over the inner predictions (Eq. 8)."""
        mask, name = episodes.query_mask, self.config.loss
        inner = [segmentation_loss(logits, mask, name) for logits in prediction.auxiliary_logits]
        return {
            "main": segmentation_loss(prediction.logits, mask, name),
            "auxiliary": self.config.auxiliary_weight * torch.stack(inner).mean(),
        }
