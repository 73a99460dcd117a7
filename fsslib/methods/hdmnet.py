"""HDMNet: hierarchical dense correlation distillation (Peng et al., CVPR 2023).

Query and support meet on three grids in a transformer decoder (`layers/matching.py`), whose
correlation maps teach each other from coarse to fine. Around it stands BAM's ensemble with its base
learner, whose embedding also gives one of the two channels of HDMNet's own prior. Supports are
masked as *pictures*, for all that is read from them.

* The released code leaves shot weights in sorted order and never trains them (`unsort="official"`
  does both); prior and prototype are plain means over shots.
* Prior maps enter ten times as large before the decoder, and as they are inside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import pointwise
from fsslib.layers.losses import distillation_loss
from fsslib.layers.matching import MatchingDecoder
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods.bam import ENSEMBLE_NAMES
from fsslib.methods.base import METHODS, Prediction
from fsslib.methods.base_learner import BaseLearner, EnsembleConfig, WithBaseLearner
from fsslib.methods.features import EpisodeFeatures, reduction
from fsslib.methods.pfenet import BACKBONE_NAMES, REDUCTION_NAMES
from fsslib.methods.prior_source import PRIORS, Maps, PriorSource
from fsslib.methods.shapes import Shapes
from fsslib.priors.similarity import similarity_maps
from fsslib.settings import Count, NonNegative

PRIOR_GAIN = 10.0


@PRIORS.register("hdmnet")
class HDMNetPrior(PriorSource):
    """HDMNet's prior: best cosines of the base learner's embedding and of layer4, mean over shots,
    not stretched. Two maps; needs a method with a base learner."""

    def channels(self, shot: int) -> int:
        return 2

    @torch.no_grad()
    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        pairs = {
            "embedding": (features.query_embedding, features.support_embedding),
            "layer4": (features.query_layer4, features.support_layer4),
        }
        return {
            f"prior_{name}": similarity_maps(*pair, features.masks).mean(1, keepdim=True)
            for name, pair in pairs.items()
        }


@dataclass(frozen=True)
class HDMNetConfig(EnsembleConfig):
    """Numbers of HDMNet; `preset` gives the paper's and the embedded benchmark's."""

    reduce_dim: Count = 256
    """Channels of the reduced features and the prototype."""
    dim: Count = 64
    """Channels of the decoder."""
    heads: tuple[Count, ...] = (2, 4, 8)
    """Of the decoder's self-attention, finest grid first; a grid for each. They divide `dim`."""
    reductions: tuple[Count, ...] = (4, 2, 1)
    """How much coarser the keys and values of each grid are."""
    match_heads: Count = 2
    distillation_weight: NonNegative = 1.0

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: PASCAL-5i and COCO-20i. `official`: the same with the code's shot weights.
        `scenes`: the embedded benchmark."""
        return {
            "paper": {},
            "official": {"unsort": "official"},
            "scenes": {"reduce_dim": 64, "dim": 32, "loss": "cross_entropy_dice"},
        }


@METHODS.register("hdmnet")
class HDMNet(WithBaseLearner):
    """HDMNet over any stage backbone that its base learner was trained with.

    Its maps: `prior`, `correlation` (the finest), `known`, `meta`, `psi` (B,1,1,1), and those of
    the prior. With `prior="pi_clip"` it is PI-CLIP's main network.
    """

    config_class = HDMNetConfig
    own_channels = 2
    support_mask = "picture"
    prior_options: ClassVar = {"pi_clip": {"vvp_layers": 2, "repeat_vtp": 2}}
    """PI-CLIP's VTP takes the place of two channels, and is there twice."""
    official_names = (
        *BACKBONE_NAMES,
        *REDUCTION_NAMES,
        *ENSEMBLE_NAMES,
        (r"base\.ppm\.", "ppm."),
        (r"base\.embed\.", "cls."),
        (r"base\.classify\.2\.", "base_learnear.2."),
        (r"merge_query\.", "query_merge."),
        (r"merge_support\.", "supp_merge."),
        *(
            (rf"decoder\.{ours}", f"transformer.mix_transformer.{its}")
            for ours, its in MatchingDecoder.official_names
        ),
        (r"prior\.clip\.encoder\.model\.", "clip_model."),
    )

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseLearner,
        config: HDMNetConfig | None = None,
        prior: PriorSource | None = None,
    ) -> None:
        config = config or HDMNetConfig()
        super().__init__(backbone, base, config, prior)
        wide, maps = config.reduce_dim, self.channels
        self.reduce_query = reduction(backbone, wide, config.reduce_dropout)
        self.reduce_support = reduction(backbone, wide, config.reduce_dropout)
        self.merge_query = pointwise(2 * wide + maps, config.dim)
        self.merge_support = pointwise(2 * wide, config.dim)
        self.decoder = MatchingDecoder(
            config.dim, maps, config.heads, config.reductions, config.match_heads
        )
        if config.unsort == "official":
            self.shot_weights.requires_grad_(False)
        self.plug_in(prior)

    def own_prior(self) -> PriorSource:
        return HDMNetPrior()

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        grids = shapes.count("decoder.levels.{}.norm.weight")
        kernel = "decoder.levels.{}.blocks.0.reduce.sr.weight"
        return super().shown_settings(shapes) | {
            "reduce_dim": shapes.axis("reduce_query.0.weight", 0),
            "dim": shapes.axis("merge_query.0.weight", 0),
            "heads": grids,
            "reductions": tuple(shapes.axis(kernel.format(n), 2, absent=1) for n in range(grids)),
        }

    @classmethod
    def shown_channels(cls, shapes: Shapes) -> int | None:
        merged, support = (shapes.pair(f"merge_{name}.0.weight") for name in ("query", "support"))
        return merged and support and merged[1] - support[1]

    def slow_parameters(self) -> list[nn.Parameter]:
        return list(self.decoder.parameters())

    def decode(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        shots, masks = features.shots, features.masks
        self.require_shot(shots)
        prior, named = self.prior_maps(features, maps, episodes)
        with torch.no_grad():
            base = self.base.classify(features.query_embedding)
            psi = self.scene_differences(features)
        query = self.reduce_query(features.query_middle)
        support = self.reduce_support(features.support_middle)
        pooled = masked_average(support, resize(masks.flatten(0, 1)[:, None], features.grid))
        spread = pooled.expand_as(support)  # (B K, D, h, w)
        support_merged = self.merge_support(torch.cat([support, spread], 1))
        prototype = pooled.unflatten(0, (-1, shots)).mean(1).expand_as(query)
        query_merged = self.merge_query(torch.cat([query, prototype, PRIOR_GAIN * prior], 1))
        meta, correlations = self.decoder(
            query_merged, support_merged.unflatten(0, (-1, shots)), masks, prior
        )
        psi, size = (self.shot_weights(psi) * psi).sum(1), features.query.shape[-2:]
        named = named | {"correlation": correlations[-1][:, None]}
        return self.together(meta, psi, base, class_ids, named, size, tuple(correlations))

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main` (ensemble), `meta` (meta learner), `distillation`."""
        mask = episodes.query_mask
        distilled = distillation_loss(prediction.auxiliary_logits[1:], mask)
        losses = self.shared_losses(prediction, mask)
        return losses | {"distillation": self.config.distillation_weight * distilled}

    def counted(self, term: str, episodes: Episode) -> Tensor | int:
        return len(episodes) if term == "distillation" else super().counted(term, episodes)
