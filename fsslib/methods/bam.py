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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import classifier, pointwise, two_convolutions
from fsslib.layers.ensemble import scene_difference
from fsslib.layers.prototype import masked_average
from fsslib.layers.pyramid import ASPP, BaseHead
from fsslib.layers.resize import resize
from fsslib.methods.base import Prediction
from fsslib.methods.base_learner import EnsembleConfig, WithBaseLearner
from fsslib.methods.pi_clip.config import ClipMaps
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.prior_guided import masked_stages, middle_features, reduction
from fsslib.priors.similarity import prior_mask
from fsslib.settings import Count


@dataclass(frozen=True)
class BAMConfig(EnsembleConfig):
    """Numbers of BAM; `preset` gives the paper's and the embedded benchmark's."""

    dim: Count = 256
    rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of the ASPP."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: PASCAL-5i and COCO-20i at 473 and 641. `scenes`: the embedded benchmark."""
        scenes = {"dim": 64, "rates": (2, 4, 6), "loss": "cross_entropy_dice"}
        return {"paper": {}, "scenes": scenes}


class BAM(WithBaseLearner):
    """BAM over any stage backbone that its base learner was trained with.

    Its maps: `prior`, `known` (base classes but the episode's own), `meta`, `psi` (B,1,1,1).
    """

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseHead,
        base_classes: Sequence[int],
        config: BAMConfig | None = None,
        clip: ClipPriors | None = None,
    ) -> None:
        config = config or BAMConfig()
        super().__init__(backbone, base, base_classes, config, clip)
        dim = config.dim
        self.reduce_query = reduction(backbone, dim, config.reduce_dropout)
        self.reduce_support = reduction(backbone, dim, config.reduce_dropout)
        self.merge = pointwise(2 * dim + self.channels(1, config.shot), dim)
        self.aspp = ASPP(dim, config.rates)
        self.fuse = pointwise((2 + len(config.rates)) * dim, dim)
        self.refine = two_convolutions(dim)
        self.classifier = classifier(dim)

    def predict(
        self,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
        maps: ClipMaps | None = None,
        class_ids: Tensor | None = None,
    ) -> Prediction:
        shots = masks.shape[1]
        self.require_shot(shots)
        with torch.no_grad():
            q = self.backbone.stages(query)
            s, soft = masked_stages(self.backbone, support, masks)
            _, per_shot = prior_mask(q.layer4, s.layer4.unflatten(0, (-1, shots)), masks)
            base = self.base(q.layer4)
            psi = scene_difference(q.layer2, s.layer2.unflatten(0, (-1, shots)))
        weights = self.shot_weights(psi)[:, :, None, None]  # (B, K, 1, 1)
        features = self.reduce_query(middle_features(q))
        pooled = masked_average(self.reduce_support(middle_features(s)), soft)
        prototype = (weights[..., None] * pooled.unflatten(0, (-1, shots))).sum(1)
        grid = features.shape[-2:]
        own = (weights * resize(per_shot, grid)).sum(1, keepdim=True)
        prior = own if maps is None else maps.on(grid)
        prior = prior[:, :0] if self.prior == "none" else prior
        merged = self.merge(torch.cat([features, prototype.expand_as(features), prior], 1))
        fused = self.fuse(self.aspp(merged))
        meta = self.classifier(fused + self.refine(fused))
        psi = (weights[..., 0, 0] * psi).sum(1)
        return self.together(meta, psi, base, class_ids, {"prior": prior}, query.shape[-2:])

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, of the ensemble, and `meta`, of the meta learner alone."""
        return self.shared_losses(prediction, episodes.query_mask)
