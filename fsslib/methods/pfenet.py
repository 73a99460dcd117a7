"""PFENet: prior guided feature enrichment (Tian, Zhao, Shu, Yang, Li, Jia; TPAMI 2020).

A frozen classification network, a training-free prior mask from its highest layer, a prototype
from its middle layers, and the FEM decoder. Follows the released code where the paper is silent:

* the support mask is applied before layer4 *and* again behind it (the second matters more);
* support pixels of label 255 count as background;
* the paper's numbers were trained with BatchNorm in training mode and at ten times the learning
  rate its config states; here BatchNorm is frozen (`official_bn` brings it back) and the rate is
  the one number in the training config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.config import strict
from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.layers.fem import FeatureEnrichment, classifier, resize
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.methods.base import FewShotSegmenter, Prediction, foreground, require_one_way
from fsslib.priors.similarity import prior_mask


@dataclass(frozen=True)
class PFENetConfig:
    """Numbers of PFENet; `preset` gives the paper's and the embedded benchmark's."""

    dim: int = 256
    """Channels of the reduced features, the prototype and the decoder."""
    scales: tuple[float, ...] = (60, 30, 15, 8)
    """Grid sizes of the FEM, finest first; up to 1 they are fractions of the feature size."""
    reduce_dropout: float = 0.5
    loss: LossName = "cross_entropy"
    auxiliary_weight: float = 1.0
    """Weight of the mean loss over the scales' inner predictions (paper: sigma = 1)."""
    official_bn: bool = False
    """Leave BatchNorm in training mode while training, as the released code does."""

    @classmethod
    def preset(cls, name: str, **changes: Any) -> PFENetConfig:
        """`paper`: PASCAL-5i at 473. `official`: the same with the code's BatchNorm.
        `fractions`: scales relative to the features (VGG, COCO, other sizes). `scenes`: the
        embedded benchmark, smaller, with a balanced loss."""
        fractions = (1, 0.5, 0.25, 0.125)
        presets: dict[str, dict[str, Any]] = {
            "paper": {},
            "official": {"official_bn": True},
            "fractions": {"scales": fractions},
            "scenes": {
                "dim": 64,
                "scales": (1, 0.5, 0.25),
                "loss": "cross_entropy_dice",
            },
        }
        if name not in presets:
            raise ValueError(f"preset={name!r}: expected one of {sorted(presets)}")
        return strict(cls, presets[name] | changes)


class PFENet(FewShotSegmenter):
    """PFENet over any stage backbone. Its maps: `prior`, and `prior_per_shot` (B,K,h,w)."""

    def __init__(self, backbone: StageBackbone, config: PFENetConfig | None = None) -> None:
        super().__init__()
        config = config or PFENetConfig()
        self.config, self.backbone = config, backbone
        backbone.official_bn = config.official_bn
        middle = backbone.channels[0] + backbone.channels[1]
        self.reduce_query = _reduction(middle, config.dim, config.reduce_dropout)
        self.reduce_support = _reduction(middle, config.dim, config.reduce_dropout)
        self.fem = FeatureEnrichment(config.dim, maps=1, scales=config.scales)
        self.classifier = classifier(config.dim)

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "PFENet")
        query = self.backbone.preprocess(episodes.query_image)
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        masks = foreground(episodes.support_masks[:, 0])
        return self.predict(query, self.backbone.preprocess(images), masks)

    def predict(
        self,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
    ) -> Prediction:
        """The network on already normalised images; masks are 0 or 1."""
        shots = masks.shape[1]
        with torch.no_grad():
            q = self.backbone.stages(query)
            s, soft = self._masked_support(support, masks)
            s4 = s.layer4.unflatten(0, (-1, shots))
            prior, per_shot = prior_mask(q.layer4, s4, masks)
        features = self.reduce_query(middle_features(q))
        pooled = masked_average(self.reduce_support(middle_features(s)), soft)
        prototype = pooled.unflatten(0, (-1, shots)).mean(1)  # (B, D, 1, 1)
        prior = resize(prior, features.shape[-2:])
        enriched, inner = self.fem(features, prototype, prior)
        logits = resize(self.classifier(enriched), query.shape[-2:])
        return Prediction(logits, {"prior": prior, "prior_per_shot": per_shot}, inner)

    def _masked_support(
        self, support: Float[Tensor, "bk 3 h w"], masks: Float[Tensor, "b k h w"]
    ) -> tuple[Stages, Float[Tensor, "bk 1 hf wf"]]:
        """Support features with layer4 computed on masked layer3, and the soft mask on the grid."""
        layer2 = self.backbone.layer2(self.backbone.layer1(self.backbone.stem(support)))
        layer3 = self.backbone.layer3(layer2)
        soft = resize(masks.flatten(0, 1)[:, None], layer3.shape[-2:])
        return Stages(layer2, layer3, self.backbone.layer4(layer3 * soft)), soft

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, and `auxiliary`: the weighted mean over the inner predictions (Eq. 8)."""
        mask, name = episodes.query_mask, self.config.loss
        inner = [segmentation_loss(logits, mask, name) for logits in prediction.auxiliary_logits]
        return {
            "main": segmentation_loss(prediction.logits, mask, name),
            "auxiliary": self.config.auxiliary_weight * torch.stack(inner).mean(),
        }


def middle_features(stages: Stages) -> Float[Tensor, "b c h w"]:
    """cat[layer3, layer2] in the official order, layer2 brought to layer3's grid (VGG)."""
    layer2 = stages.layer2
    if layer2.shape[-2:] != stages.layer3.shape[-2:]:
        layer2 = resize(layer2, stages.layer3.shape[-2:])
    return torch.cat([stages.layer3, layer2], 1)


def _reduction(channels: int, dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, dim, 1, bias=False), nn.ReLU(inplace=True), nn.Dropout2d(dropout)
    )
