"""ASGNet: adaptive superpixel-guided network (Li et al., CVPR 2021).

The support's object becomes up to five prototypes (`layers/clustering`), and every query cell is
given the one that it resembles most. Behind them PFENet's FEM, as in every configuration of the
released code (its other decoder, an ASPP, none of them uses). Seeds come from the mask at the
features' grid, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import classifier
from fsslib.layers.clustering import ITERATIONS, association, distributed_prototypes, place_seeds
from fsslib.layers.fem import FeatureEnrichment
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.resize import resize
from fsslib.methods.base import METHODS, FewShotSegmenter, Prediction, foreground, require_one_way
from fsslib.methods.pfenet import BACKBONE_NAMES, FEM_NAMES
from fsslib.methods.shapes import Shapes
from fsslib.settings import Count, Fraction, Positive, Settings


@dataclass(frozen=True)
class ASGNetConfig(Settings):
    """Numbers of ASGNet; `preset` gives the paper's and the embedded benchmark's."""

    dim: Count = 256
    seeds: Count = 5
    area_per_seed: Positive = 100
    """In cells of the features' grid."""
    spacing: Positive = 10.0
    official_border: bool = False
    scales: tuple[Positive, ...] = (60, 30, 15, 8)
    reduce_dropout: Fraction = 0.5
    loss: LossName = "cross_entropy"

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: PASCAL-5i at 473. `official`: the same with the code's border quirk. `scenes`:
        the embedded benchmark, a grid of 13 x 13, smaller, with a balanced loss."""
        return {
            "paper": {},
            "official": {"official_border": True},
            "scenes": {
                "dim": 64,
                "area_per_seed": 8,
                "spacing": 3.0,
                "scales": (1, 0.5, 0.25),
                "loss": "cross_entropy_dice",
            },
        }


@METHODS.register("asgnet")
class ASGNet(FewShotSegmenter):
    """ASGNet over any stage backbone. Its maps: `probability` (B,1,h,w), the sum of similarities,
    and `guide` (B,1,h,w), the number of the prototype each cell is given."""

    config_class = ASGNetConfig
    official_names = (
        *BACKBONE_NAMES,
        (r"reduce\.", "down_conv."),
        (r"fem\.merge\.", "corr_conv."),
        *FEM_NAMES,
    )

    def __init__(
        self,
        backbone: StageBackbone,
        config: ASGNetConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config or ASGNetConfig()
        config, channels = self.config, backbone.channels[0] + backbone.channels[1]
        # No ReLU here, unlike PFENet's: clustering sees signed features.
        self.reduce = torch.nn.Sequential(
            torch.nn.Conv2d(channels, config.dim, 1, bias=False),
            torch.nn.Dropout2d(config.reduce_dropout),
        )
        self.fem = FeatureEnrichment(config.dim, 1, config.scales)
        self.classifier = classifier(config.dim)

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        scales = shapes.count("fem.merge.{}.0.weight")
        return {"dim": shapes.axis("reduce.0.weight", 0), "scales": scales}

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "ASGNet")
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        masks = foreground(episodes.support_masks[:, 0]).flatten(0, 1)
        with torch.no_grad():
            query = self.backbone.fine_features(episodes.query_image)
            support = self.backbone.fine_features(images)
        query, support = self.reduce(query), self.reduce(support)
        prototypes = self._prototypes(support, masks).unflatten(0, (-1, episodes.shot))
        prototypes = prototypes.flatten(1, 2)  # (B, K n, D)
        scores = association(query, prototypes)
        probability = scores.sum(1, keepdim=True)
        absent = (prototypes == 0).all(-1)[..., None, None]
        guide = scores.masked_fill(absent, -torch.inf).argmax(1)  # (B, h, w)
        chosen = prototypes.gather(
            1, guide.flatten(1)[..., None].expand(-1, -1, prototypes.shape[-1])
        )
        guided = chosen.mT.unflatten(2, guide.shape[1:])  # (B, D, h, w)
        enriched, inner = self.fem(query, guided, probability)
        logits = resize(self.classifier(enriched), episodes.query_mask.shape[-2:])
        maps = {"probability": probability, "guide": guide[:, None].float()}
        return Prediction(logits, maps, inner)

    def _prototypes(
        self, support: Float[Tensor, "bk d h w"], masks: Float[Tensor, "bk _ _"]
    ) -> Float[Tensor, "bk n d"]:
        """Seeds on the mask brought down by nearest neighbour, clusters on the soft one; both as in
        the released code."""
        config, grid = self.config, tuple(support.shape[-2:])
        hard, soft = F.interpolate(masks[:, None], grid)[:, 0], resize(masks[:, None], grid)[:, 0]
        seeds = place_seeds(hard, config.seeds, config.area_per_seed, config.official_border)
        rounds = ITERATIONS[0] if self.training else ITERATIONS[1]
        return distributed_prototypes(support, soft, seeds, rounds, config.spacing)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, and `auxiliary`: the mean over the scales' inner predictions."""
        mask, name = episodes.query_mask, self.config.loss
        inner = [segmentation_loss(logits, mask, name) for logits in prediction.auxiliary_logits]
        main = segmentation_loss(prediction.logits, mask, name)
        return {"main": main, "auxiliary": torch.stack(inner).mean()}
