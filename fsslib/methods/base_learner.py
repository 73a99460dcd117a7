"""The base learner of BAM and HDMNet: an ordinary segmentation network for the base classes.

A PSPNet, trained once for each fold, whose backbone the few-shot network reads as well.
`WithBaseLearner` is what the two methods have in common because of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.ensemble import (
    Ensemble,
    Unsort,
    known_objects,
    scene_difference,
    shot_weights,
)
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.pyramid import BaseHead
from fsslib.layers.resize import resize
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.base_learner_config import BaseLearnerConfig
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.prior_guided import PriorGuided
from fsslib.methods.prior_source import PriorSource
from fsslib.methods.shapes import Shapes
from fsslib.settings import Count, Fraction, Settings


class BaseLearner(FewShotSegmenter):
    """PSPNet for the base classes. An episode of its own is a picture with all of them in question
    and no support (N-way, 0-shot), which is what `BaseEpisodes` gives.

    Args:
        backbone: stays as it is; where the base learner trains one, `self.backbone` is a copy.
        class_ids: global ids of the base classes, in the order of the logits.
    """

    config_class = BaseLearnerConfig
    official_names = (
        (r"backbone\.stem\.", "layer0."),
        (r"backbone\.(layer[1-4])\.", r"\1."),
        (r"head\.ppm\.", "ppm."),
        (r"head\.embed\.", "cls."),
        (r"head\.classify\.2\.", "cls.4."),
    )

    def __init__(
        self,
        backbone: StageBackbone,
        class_ids: Sequence[int],
        config: BaseLearnerConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config or BaseLearnerConfig()
        learns = self.config.train_backbone
        self.backbone = backbone.copied(trainable=True) if learns else backbone
        self.frozen = () if learns else ("backbone",)
        self.head = BaseHead(backbone.channels[2], len(class_ids), self.config.dim)
        self.register_buffer("class_ids", torch.tensor(list(class_ids), dtype=torch.int64))

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": shapes.axis("head.classify.2.weight", 1)}

    def forward(self, episodes: Episode) -> Prediction:
        with torch.set_grad_enabled(self.config.train_backbone and torch.is_grad_enabled()):
            layer4 = self.backbone(episodes.query_image).layer4
        return Prediction(resize(self.head(layer4), episodes.query_image.shape[-2:]))

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        return {"main": segmentation_loss(prediction.logits, episodes.query_mask)}

    def slow_parameters(self) -> list[nn.Parameter]:
        return list(self.backbone.parameters())

    def freeze(self) -> BaseLearner:
        """Trained, and from here on what BAM and HDMNet read: its head, and `backbone`."""
        if self.config.train_backbone:
            self.backbone.freeze()
        return self.requires_grad_(False).eval()


@dataclass(frozen=True)
class EnsembleConfig(Settings):
    """What BAM and HDMNet have in common."""

    shot: Count = 1
    """Supports of an episode; the shot weights are made for this many."""
    reduce_dropout: Fraction = 0.5
    loss: LossName = "cross_entropy"
    """Of the ensemble and of the meta learner; the papers' is the cross-entropy, which makes an
    ensemble prefer background where objects are small."""
    unsort: Unsort = "fixed"
    ensemble: bool = True
    """Answer with the ensemble, as the papers do; else with the meta learner alone."""


class WithBaseLearner(PriorGuided):
    """What BAM and HDMNet share: a frozen base learner beside the meta learner, and the ensemble.

    Args:
        base: trained on this backbone's layer4; its head is read here, a copy if it still learns.
    """

    parts: ClassVar = {"backbone": StageBackbone, "base": BaseLearner}
    frozen = ("backbone", "base")

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseLearner,
        config: EnsembleConfig,
        prior: PriorSource | None,
    ) -> None:
        super().__init__(backbone, prior, config.shot)
        learns = any(parameter.requires_grad for parameter in base.head.parameters())
        self.base = deepcopy(base.head).requires_grad_(False) if learns else base.head
        self.base_classes = tuple(base.class_ids.tolist())
        self.config = config
        numbers = torch.zeros(max(self.base_classes, default=0) + 2, dtype=torch.int64)
        numbers[list(self.base_classes)] = torch.arange(1, len(self.base_classes) + 1)
        self.register_buffer("_own_class", numbers, persistent=False)
        self.shot_weights = shot_weights(config.shot, config.unsort)
        self.ensemble = Ensemble()

    @classmethod
    def build(cls, config: Settings, **parts: Any) -> WithBaseLearner:
        """On the base learner's backbone, which is the given one unless it was trained along."""
        return cls(**parts | {"backbone": parts["base"].backbone}, config=config)

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        return {"shot": shapes.axis("shot_weights.network.0.weight", 1, absent=1)}

    def embed(self, layer4: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The base learner's embedding, which priors may read."""
        return self.base.features(layer4)

    def train(self, mode: bool = True) -> WithBaseLearner:
        super().train(mode)
        self.base.eval()
        return self

    @staticmethod
    def scene_differences(features: EpisodeFeatures) -> Float[Tensor, "b k"]:
        """psi: how unlike the query each support is in style (BAM Eq. 6)."""
        support = features.support_stages[0].unflatten(0, (-1, features.shots))
        return scene_difference(features.query_stages[0], support)

    def own_class(self, class_ids: Tensor | None, batch: int) -> Int64[Tensor, " b"]:
        """Each episode's class among the base learner's logits, 0 if it is not there."""
        if class_ids is None:
            return self._own_class.new_zeros(batch)
        return self._own_class[class_ids.clamp(0, len(self._own_class) - 1)]

    def together(
        self,
        meta: Float[Tensor, "b 2 h w"],
        psi: Float[Tensor, " b"],
        base: Float[Tensor, "b classes h w"],
        class_ids: Tensor | None,
        maps: dict[str, Tensor],
        size: Sequence[int],
        inner: tuple[Tensor, ...] = (),
    ) -> Prediction:
        """The ensemble, or the meta learner alone, as a prediction at the picture's size."""
        known = known_objects(base.float(), self.own_class(class_ids, len(base)))
        maps = maps | {
            "known": known[:, None],
            "meta": meta.softmax(1)[:, 1:],
            "psi": psi[:, None, None, None],
        }
        meta_logits = resize(meta, size)
        logits = meta_logits
        if self.config.ensemble:
            logits = resize(self.ensemble(meta.float().softmax(1), psi.float(), known), size)
        return Prediction(logits, maps, (meta_logits, *inner))

    def shared_losses(
        self, prediction: Prediction, mask: UInt8[Tensor, "b h w"]
    ) -> dict[str, Float[Tensor, ""]]:
        """`main`, of the ensemble if there is one, and `meta`, of the meta learner alone."""
        loss = self.config.loss
        meta = {"meta": segmentation_loss(prediction.auxiliary_logits[0], mask, loss)}
        if not self.config.ensemble:
            return meta
        return {"main": segmentation_loss(prediction.logits, mask, loss)} | meta
