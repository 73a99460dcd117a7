"""LFSS's masks before anything is learned: from the word, and refined by the pair (VLMD, Sec. 3.3).

As a method of its own it is the first check of every experiment with words, and Table 3.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.methods.base import (
    METHODS,
    FewShotSegmenter,
    Guidance,
    Prediction,
    binary_logits,
    foreground,
    require_one_way,
)
from fsslib.methods.lfss.config import LFSSConfig
from fsslib.methods.words import WordMasks
from fsslib.priors.self_support import refine_pair


class Masks(NamedTuple):
    """0 or 1, on the features' grid."""

    support: Float[Tensor, "b k h w"]
    query: Float[Tensor, "b h w"]


class Pseudo(NamedTuple):
    """Frozen features of both pictures, and their masks before and after the refiner."""

    support_features: Float[Tensor, "bk c h w"]
    query_features: Float[Tensor, "b c h w"]
    initial: Masks
    refined: Masks


class PseudoMasks:
    """Episodes -> `Pseudo`, in fp32 under autocast too. Nothing is trained; no module, its parts
    belong to the method.

    Args:
        backbone: whose layer3 and layer2 are compared.
    """

    def __init__(self, backbone: StageBackbone, words: WordMasks, config: LFSSConfig) -> None:
        self.backbone, self.words, self.config = backbone, words, config

    @torch.no_grad()
    def __call__(self, episodes: Episode) -> Pseudo:
        with torch.autocast(episodes.query_image.device.type, enabled=False):
            return self._made(episodes)

    @torch.no_grad()
    def of_shot(self, pseudo: Pseudo, shot: int) -> Masks:
        """The refined masks of an episode that has this support only."""
        shots = pseudo.initial.support.shape[1]
        support = pseudo.support_features.unflatten(0, (-1, shots))[:, shot]
        one = Masks(pseudo.initial.support[:, shot : shot + 1], pseudo.initial.query)
        with torch.autocast(support.device.type, enabled=False):
            return self._refined(pseudo.query_features, support, one)

    def _made(self, episodes: Episode) -> Pseudo:
        supports = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        query = self.backbone.fine_features(episodes.query_image)
        support = self.backbone.fine_features(supports)
        initial = self._initial(episodes, supports, tuple(query.shape[-2:]))
        return Pseudo(support, query, initial, self._refined(query, support, initial))

    def _initial(self, episodes: Episode, supports: Tensor, grid: tuple[int, int]) -> Masks:
        """Masks of the word, or of the annotation for the supports."""
        names = [name for (name,) in episodes.class_names]
        query = self.words(episodes.query_image, names, grid).mask
        if self.config.guidance == "mask":
            true = foreground(episodes.support_masks[:, 0])
            return Masks(F.interpolate(true, grid), query)  # nearest: seeds want ones
        repeated = [name for name in names for _ in range(episodes.shot)]
        support = self.words(supports, repeated, grid).mask
        return Masks(support.unflatten(0, (-1, episodes.shot)), query)

    def _refined(self, query: Tensor, support: Tensor, masks: Masks) -> Masks:
        config = self.config
        if not config.refine:
            return masks
        options = (config.alpha, config.variant, config.global_weight)
        of_support, of_query = refine_pair(support, masks.support, query, masks.query, *options)
        new = of_support.mask.view_as(masks.support)
        return Masks(masks.support if config.guidance == "mask" else new, of_query.mask)


@METHODS.register("word_mask")
class WordMaskBaseline(FewShotSegmenter):
    """The query's pseudo mask as a prediction: with `refine` the refined one, else as the word gave
    it. Its maps: `initial` and `refined` (B,1,h,w)."""

    trainable = False
    config_class = LFSSConfig
    parts: ClassVar = {"backbone": StageBackbone, "words": WordMasks}

    def __init__(
        self,
        backbone: StageBackbone,
        words: WordMasks,
        config: LFSSConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.words = backbone, words
        config = config or LFSSConfig()
        self.masks = PseudoMasks(backbone, words, config)
        self.reads_masks = config.guidance == "mask"

    @classmethod
    def guided_by(cls, config: LFSSConfig) -> Guidance:
        return config.guidance

    @classmethod
    def reads_names(cls, config: LFSSConfig) -> bool:
        return True

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "WordMaskBaseline")
        pseudo = self.masks(episodes)
        initial, refined = pseudo.initial.query[:, None], pseudo.refined.query[:, None]
        full = F.interpolate(refined, episodes.query_mask.shape[-2:])[:, 0]
        return Prediction(binary_logits(full - 0.5), {"initial": initial, "refined": refined})
