"""LFSS: few-shot segmentation guided by a word (Wang, Liu, Zhou, Wang; ICASSP 2024).

No annotation of the support is read. CLIP gives both pictures a mask of the word (`methods/words`),
the pair refines them (`priors/self_support`), the support's object becomes several prototypes
(`layers/clustering`) and two correlation maps (`layers/correlation`), and a decoder predicts. In
circle training it first predicts the support from the query, then the query from what it predicted.

What the paper leaves open is decided as in its donors, MaskCLIP, SSP, ASGNet and IMR-HSNet. The
one that matters most: Eq. 20 compares with *ground truth*, of base classes and of both pictures
(`supervision="gt"`); "pseudo" learns from the refined masks and is reported by that name.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fsslib.data.episode import IGNORE, Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.clustering import (
    ITERATIONS,
    association,
    distributed_prototypes,
    place_seeds,
    rectify_seeds,
)
from fsslib.layers.correlation import attention_prototype, correlate
from fsslib.layers.losses import segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.layers.pyramid import ASPP
from fsslib.layers.resize import resize
from fsslib.methods.base import (
    METHODS,
    FewShotSegmenter,
    Guidance,
    Prediction,
    require_one_way,
    vote,
)
from fsslib.methods.features import reduction
from fsslib.methods.lfss.config import LFSSConfig
from fsslib.methods.lfss.pseudo_masks import Masks, Pseudo, PseudoMasks
from fsslib.methods.words import WordMasks
from fsslib.priors.similarity import cosine_map


class Pass(NamedTuple):
    """What one pass says of its target picture: logits (b, h, w) and the maps it read."""

    logits: Tensor
    association: Tensor
    correlation: Tensor


@METHODS.register("lfss")
class LFSS(FewShotSegmenter):
    """LFSS over any stage backbone.

    Its maps, on the features' grid: `initial` and `refined` (B,1,h,w) of the query, the supports'
    `initial_support` and `refined_support` (B,K,h,w), `association` (B,1,h,w), `correlation`
    (B,2,h,w; RCM and FCM; B,1 without CCM) and, with a circle, `support_prediction` (B,K,h,w).
    """

    config_class = LFSSConfig
    parts: ClassVar = {"backbone": StageBackbone, "words": WordMasks}
    frozen = ("backbone", "words")

    def __init__(
        self,
        backbone: StageBackbone,
        words: WordMasks,
        config: LFSSConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.words, self.config = backbone, words, config or LFSSConfig()
        self.masks = PseudoMasks(backbone, words, self.config)
        config, dim = self.config, self.config.dim
        self.reads_masks = config.guidance == "mask"
        self.reduce = reduction(backbone, dim, config.reduce_dropout)
        read = dim + (1 if config.dps else dim) + (2 if config.ccm else 1)
        self.merge = nn.Sequential(nn.Conv2d(read, dim, 1), nn.ReLU(inplace=True))
        self.aspp = ASPP(dim, config.rates)
        self.fuse = nn.Sequential(
            nn.Conv2d((2 + len(config.rates)) * dim, dim, 1), nn.ReLU(inplace=True)
        )
        self.decode = nn.Sequential(
            *(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout2d(0.1)),
            *(nn.Conv2d(dim, dim // 4, 3, padding=1), nn.ReLU(inplace=True)),
            nn.Conv2d(dim // 4, 1, 1),
        )

    @classmethod
    def guided_by(cls, config: LFSSConfig) -> Guidance:
        return config.guidance

    @classmethod
    def reads_names(cls, config: LFSSConfig) -> bool:
        return True

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "LFSS")
        shots, size = episodes.shot, episodes.query_mask.shape[-2:]
        pseudo = self.masks(episodes)
        initial, masks = pseudo.initial, pseudo.refined
        query = self.reduce(pseudo.query_features)
        support = self.reduce(pseudo.support_features).unflatten(0, (-1, shots))
        if self.config.fusion == "vote" and shots > 1:
            logits, query_pass, first = self._vote(query, support, pseudo, size)
        else:
            query_pass, first = self._circle(query, support, masks)
            logits = query_pass.logits
        maps = {
            "initial": initial.query[:, None],
            "initial_support": initial.support,
            "refined": masks.query[:, None],
            "refined_support": masks.support,
            "association": query_pass.association,
            "correlation": query_pass.correlation,
        }
        auxiliary = ()
        if first is not None:
            maps["support_prediction"] = first.sigmoid()
            auxiliary = (_binary(first.flatten(0, 1), size),)
        return Prediction(_binary(logits, size), maps, auxiliary)

    def _circle(self, query: Tensor, support: Tensor, masks: Masks) -> tuple[Pass, Tensor | None]:
        """Both passes: (the query's, the supports' logits (b, k, h, w) or None)."""
        config, shots = self.config, support.shape[1]
        known = config.guidance == "mask"  # then there is nothing to predict of the support
        if config.circle == "none" or known or not (self.training or config.circle_at_test):
            return self.segment(query, masks.query, support, masks.support), None
        guide, guide_mask = (
            part.repeat_interleave(shots, 0)[:, None] for part in (query, masks.query)
        )
        first = self.segment(support.flatten(0, 1), masks.support.flatten(0, 1), guide, guide_mask)
        logits = first.logits.unflatten(0, (-1, shots))
        predicted = logits.sigmoid()
        hard = (predicted > 0.5).float()
        use = hard.detach() if config.circle == "hard" else predicted
        empty = (hard.sum((-2, -1)) == 0)[..., None, None]
        return self.segment(
            query, masks.query, support, torch.where(empty, masks.support, use)
        ), logits

    def segment(
        self,
        target: Float[Tensor, "b d h w"],
        target_mask: Float[Tensor, "b h w"],
        guide: Float[Tensor, "b k d h w"],
        guide_mask: Float[Tensor, "b k h w"],
    ) -> Pass:
        """Segment `target` with the help of K guides and their masks."""
        config, shots = self.config, guide.shape[1]
        guides, flat = guide.flatten(0, 1), guide_mask.flatten(0, 1)
        targets, target_masks = (part.repeat_interleave(shots, 0) for part in (target, target_mask))
        average = masked_average(guides, flat[:, None]).flatten(1)  # (b k, d)
        if config.dps:
            prototypes = self._prototypes(guides, flat, targets, target_masks)
            scores = association(target, prototypes.unflatten(0, (-1, shots)).flatten(1, 2))
            # Mean over shots: their sum is K times what a head trained with one shot has read.
            guidance = scores.sum(1, keepdim=True) / shots
        else:
            guidance = average.unflatten(0, (-1, shots)).mean(1)[..., None, None].expand_as(target)
        if config.ccm:
            attended = attention_prototype(targets, target_masks, guides, flat, config.temperature)
            maps = correlate(targets, target_masks, attended)
        else:
            maps = correlate(targets, target_masks, average)[:, :1]
        maps = maps.unflatten(0, (-1, shots)).mean(1)
        merged = self.merge(torch.cat([target, guidance, maps], 1))
        logits = self.decode(self.fuse(self.aspp(merged)))[:, 0]
        return Pass(logits, guidance.mean(1, keepdim=True), maps)

    def _prototypes(
        self, guides: Tensor, masks: Tensor, targets: Tensor, target_masks: Tensor
    ) -> Float[Tensor, "bk n d"]:
        """Seeds in the guides' masks, moved to what the targets resemble, and their clusters."""
        config, hard = self.config, (masks > 0.5).float()
        seeds = place_seeds(hard, config.seeds, config.area_per_seed, config.official_border)
        target_prototype = masked_average(targets, target_masks[:, None]).flatten(1)  # (b k, d)
        seeds = rectify_seeds(seeds, cosine_map(guides, target_prototype), config.window)
        rounds = ITERATIONS[0] if self.training else ITERATIONS[1]
        scaled = config.feature_scale * guides
        prototypes = distributed_prototypes(scaled, hard, seeds, rounds, config.spacing)
        return prototypes / config.feature_scale

    def _vote(
        self, query: Tensor, support: Tensor, pseudo: Pseudo, size: tuple[int, ...]
    ) -> tuple[Tensor, Pass, Tensor | None]:
        """Shots one by one, each with masks refined for it alone; their votes at the picture's
        size, what the first one read."""
        passes, firsts = [], []
        for k in range(support.shape[1]):
            one = self.masks.of_shot(pseudo, k)
            query_pass, first = self._circle(query, support[:, k : k + 1], one)
            passes.append(query_pass)
            firsts.append(first)
        margins = resize(torch.stack([query_pass.logits for query_pass in passes], 1), size)
        first = None if firsts[0] is None else torch.cat(firsts, 1)
        return vote(margins), passes[0], first

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`query` and, with a circle, `support`: beta shares of the binary cross-entropy (Eq. 20).
        Pixels of 255 do not count."""
        config, maps = self.config, prediction.maps
        if config.fusion == "vote" and episodes.shot > 1:
            raise ValueError(
                f"fusion='vote' with {episodes.shot} shots: votes have no gradient; train with one "
                "shot or with fusion='prototype', and vote in the test"
            )
        targets = {"query": episodes.query_mask, "support": episodes.support_masks.flatten(0, 2)}
        if config.supervision == "pseudo":
            size = episodes.query_mask.shape[-2:]
            targets = {
                "query": _labels(maps["refined"], size),
                "support": _labels(maps["refined_support"], size),
            }
        logits = {"query": prediction.logits}
        shares = {"query": 1.0}
        if prediction.auxiliary_logits:
            logits["support"] = prediction.auxiliary_logits[0]
            shares = {"query": 1 - config.beta, "support": config.beta}
        return {
            name: share * segmentation_loss(logits[name], targets[name], config.loss)
            for name, share in shares.items()
        }

    def counted(self, term: str, episodes: Episode) -> Tensor | int:
        if self.config.supervision == "pseudo":
            return len(episodes)  # every pixel has a pseudo label
        masks = episodes.query_mask if term == "query" else episodes.support_masks
        return (masks != IGNORE).sum()


def _binary(logits: Float[Tensor, "b h w"], size: tuple[int, ...]) -> Float[Tensor, "b 2 _ _"]:
    """One logit as two: the cross-entropy of (0, l) is the binary cross-entropy of l."""
    full = resize(logits[:, None], size)
    return torch.cat([torch.zeros_like(full), full], 1)


def _labels(masks: Float[Tensor, "b k h w"], size: tuple[int, ...]) -> UInt8[Tensor, "bk _ _"]:
    """Masks of the grid as labels of the picture (nearest)."""
    return F.interpolate(masks, tuple(size)).flatten(0, 1).byte()
