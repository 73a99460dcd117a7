"""BAM: learning what not to segment (Lang, Cheng, Tu, Han; CVPR 2022).

A base learner knows the base classes and answers for every pixel; a meta learner compares query and
support. An ensemble takes what the base learner recognises for background of the meta learner. The
base learner (a PSPNet, with the backbone that all methods of this line then read) is trained first
and frozen.

* While training, the episode's own class is left out of what is "known". Here it is left out
  whenever it is a base class; in tests on novel classes that is never so.
* The papers' third loss, the base learner's own on the query, has no trainable input and moves
  nothing: it is left out.
* The ensemble's outputs are probabilities, and go into a cross-entropy as if they were logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import classifier, pointwise, two_convolutions
from fsslib.layers.prototype import masked_average
from fsslib.layers.pyramid import ASPP
from fsslib.methods.base import METHODS, OfficialNames, Prediction
from fsslib.methods.base_learner import BaseLearner, EnsembleConfig, WithBaseLearner
from fsslib.methods.features import EpisodeFeatures, reduction
from fsslib.methods.pfenet import BACKBONE_NAMES, REDUCTION_NAMES, PFENetPrior
from fsslib.methods.prior_source import Maps, PriorSource
from fsslib.methods.shapes import Shapes
from fsslib.settings import Count

ENSEMBLE_NAMES: OfficialNames = (
    (r"ensemble\.(gram_merge|cls_merge)\.", r"\1."),
    (r"shot_weights\.network\.", "kshot_rw."),
)


@dataclass(frozen=True)
class BAMConfig(EnsembleConfig):
    """Numbers of BAM; `preset` gives the paper's and the embedded benchmark's."""

    dim: Count = 256
    rates: tuple[Count, ...] = (6, 12, 18)
    """Dilations of the ASPP."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: PASCAL-5i and COCO-20i at 473 and 641. `scenes`: the embedded benchmark."""
        scenes = {"dim": 64, "rates": (2, 4, 6), "loss": "cross_entropy_dice"}
        return {"paper": {}, "scenes": scenes}


@METHODS.register("bam")
class BAM(WithBaseLearner):
    """BAM over any stage backbone that its base learner was trained with. Its own prior is
    PFENet's, with the shots weighted.

    Its maps: `prior`, `known` (base classes but the episode's own), `meta`, `psi` (B,1,1,1), and
    those of the prior.
    """

    config_class = BAMConfig
    official_names = (
        *BACKBONE_NAMES,
        *REDUCTION_NAMES,
        *ENSEMBLE_NAMES,
        (r"base\.ppm\.", "learner_base.0."),
        (r"base\.embed\.", "learner_base.1."),
        (r"base\.classify\.2\.", "learner_base.1.4."),
        (r"merge\.", "init_merge."),
        (r"aspp\.branches\.", "ASPP_meta.layer6_"),
        (r"fuse\.", "res1_meta."),
        (r"refine\.", "res2_meta."),
        (r"classifier\.", "cls_meta."),
    )

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseLearner,
        config: BAMConfig | None = None,
        prior: PriorSource | None = None,
    ) -> None:
        config = config or BAMConfig()
        super().__init__(backbone, base, config, prior)
        dim = config.dim
        self.reduce_query = reduction(backbone, dim, config.reduce_dropout)
        self.reduce_support = reduction(backbone, dim, config.reduce_dropout)
        self.merge = pointwise(2 * dim + self.channels, dim)
        self.aspp = ASPP(dim, config.rates)
        self.fuse = pointwise((2 + len(config.rates)) * dim, dim)
        self.refine = two_convolutions(dim)
        self.classifier = classifier(dim)
        self.plug_in(prior)

    def own_prior(self) -> PriorSource:
        return PFENetPrior()

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        return super().shown_settings(shapes) | {
            "dim": shapes.axis("reduce_query.0.weight", 0),
            "rates": max(0, shapes.count("aspp.branches.{}.0.weight") - 2),
        }

    @classmethod
    def shown_channels(cls, shapes: Shapes) -> int | None:
        merged = shapes.pair("merge.0.weight")
        return merged and merged[1] - 2 * merged[0]

    def decode(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        self.require_shot(features.shots)
        with torch.no_grad():
            base = self.base(features.query_layer4)
            psi = self.scene_differences(features)
        weights = features.shot_weights = self.shot_weights(psi)  # (B, K)
        query = self.reduce_query(features.query_middle)
        support = self.reduce_support(features.support_middle)
        pooled = masked_average(support, features.soft_masks).unflatten(0, weights.shape)
        prototype = (weights[:, :, None, None, None] * pooled).sum(1)  # (B, D, 1, 1)
        prior, named = self.prior_maps(features, maps, episodes)
        merged = self.merge(torch.cat([query, prototype.expand_as(query), prior], 1))
        fused = self.fuse(self.aspp(merged))
        meta = self.classifier(fused + self.refine(fused))
        psi, size = (weights * psi).sum(1), features.query.shape[-2:]
        return self.together(meta, psi, base, class_ids, named, size)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, of the ensemble, and `meta`, of the meta learner alone."""
        return self.shared_losses(prediction, episodes.query_mask)
