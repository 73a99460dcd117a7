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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.blocks import pointwise
from fsslib.layers.ensemble import scene_difference
from fsslib.layers.losses import distillation_loss
from fsslib.layers.matching import MatchingDecoder
from fsslib.layers.prototype import masked_average
from fsslib.layers.pyramid import BaseHead
from fsslib.layers.resize import resize
from fsslib.methods.base import Prediction
from fsslib.methods.base_learner import EnsembleConfig, WithBaseLearner
from fsslib.methods.pi_clip.config import ClipMaps
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.prior_guided import middle_features, reduction
from fsslib.priors.similarity import similarity_maps
from fsslib.settings import Count, NonNegative

PRIOR_GAIN = 10.0


@dataclass(frozen=True)
class HDMNetConfig(EnsembleConfig):
    """Numbers of HDMNet; `preset` gives the paper's and the embedded benchmark's."""

    reduce_dim: Count = 256
    """Channels of the reduced features and the prototype."""
    dim: Count = 64
    """Channels of the decoder."""
    heads: tuple[int, ...] = (2, 4, 8)
    """Of the decoder's self-attention, finest grid first; a grid for each. They divide `dim`."""
    reductions: tuple[int, ...] = (4, 2, 1)
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


class HDMNet(WithBaseLearner):
    """HDMNet over any stage backbone that its base learner was trained with.

    Its maps: `prior`, `correlation` (the finest), `known`, `meta`, `psi` (B,1,1,1).
    """

    vvp_layers, repeat_vtp = 2, 2
    """PI-CLIP's VTP takes the place of two channels, and is there twice."""

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseHead,
        base_classes: Sequence[int],
        config: HDMNetConfig | None = None,
        clip: ClipPriors | None = None,
    ) -> None:
        config = config or HDMNetConfig()
        super().__init__(backbone, base, base_classes, config, clip)
        wide = config.reduce_dim
        maps = self.channels(2, config.shot)
        self.reduce_query = reduction(backbone, wide, config.reduce_dropout)
        self.reduce_support = reduction(backbone, wide, config.reduce_dropout)
        self.merge_query = pointwise(2 * wide + maps, config.dim)
        self.merge_support = pointwise(2 * wide, config.dim)
        self.decoder = MatchingDecoder(
            config.dim, maps, config.heads, config.reductions, config.match_heads
        )
        if config.unsort == "official":
            self.shot_weights.requires_grad_(False)

    def slow_parameters(self) -> list[nn.Parameter]:
        return list(self.decoder.parameters())

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
        flat = masks.flatten(0, 1)[:, None]
        with torch.no_grad():
            q, s = self.backbone.stages(query), self.backbone.stages(support * flat)
            embedded = self.base.features(q.layer4)
            prior = self._prior(q.layer4, s.layer4, embedded, masks, maps)
            base = self.base.classify(embedded)
            psi = scene_difference(q.layer2, s.layer2.unflatten(0, (-1, shots)))
        query_features = self.reduce_query(middle_features(q))
        support_features = self.reduce_support(middle_features(s))
        grid = query_features.shape[-2:]
        pooled = masked_average(support_features, resize(flat, grid))  # (B K, D, 1, 1)
        spread = pooled.expand_as(support_features)
        support_merged = self.merge_support(torch.cat([support_features, spread], 1))
        prototype = pooled.unflatten(0, (-1, shots)).mean(1).expand_as(query_features)
        prior = resize(prior, grid) if prior.shape[1] else prior
        query_merged = self.merge_query(
            torch.cat([query_features, prototype, PRIOR_GAIN * prior], 1)
        )
        meta, correlations = self.decoder(
            query_merged, support_merged.unflatten(0, (-1, shots)), masks, prior
        )
        psi = (self.shot_weights(psi) * psi).sum(1)
        named = {"prior": prior, "correlation": correlations[-1][:, None]}
        inner = tuple(correlations)
        return self.together(meta, psi, base, class_ids, named, query.shape[-2:], inner)

    def _prior(
        self,
        query: Float[Tensor, "b c h w"],
        support: Float[Tensor, "bk c h w"],
        embedded: Float[Tensor, "b d h w"],
        masks: Float[Tensor, "b k hm wm"],
        maps: ClipMaps | None,
    ) -> Float[Tensor, "b m hp wp"]:
        """HDMNet's own: best cosines of the base learner's embedding and of layer4, mean over
        shots, not stretched; or PI-CLIP's, or none."""
        if maps is not None:
            return maps.on(query.shape[-2:], self.repeat_vtp)
        if self.prior == "none":
            return query[:, :0]
        shots = masks.shape[1]
        pairs = ((embedded, self.base.features(support)), (query, support))
        own = [similarity_maps(q, s.unflatten(0, (-1, shots)), masks) for q, s in pairs]
        return torch.stack([each.mean(1) for each in own], 1)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main` (ensemble), `meta` (meta learner), `distillation`."""
        mask = episodes.query_mask
        distilled = distillation_loss(prediction.auxiliary_logits[1:], mask)
        losses = self.shared_losses(prediction, mask)
        return losses | {"distillation": self.config.distillation_weight * distilled}

    def counted(self, term: str, episodes: Episode) -> int:
        return len(episodes) if term == "distillation" else super().counted(term, episodes)
