"""HSNet: hypercorrelation squeeze (Min, Kang, Cho; ICCV 2021).

Every block of an undilated, frozen backbone is compared with itself: thirteen maps of all cells
against all cells for a ResNet-50, in three groups. Nothing else is learned than their decoder. Five
shots are five predictions that vote. The released loss counts border pixels (255) as background;
here they do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.blocks import block_counts, block_features
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import STAGE_NAMES, STAGES, VGG16
from fsslib.layers.hypercorrelation import HypercorrelationDecoder, hypercorrelation
from fsslib.layers.losses import LossName, segmentation_loss
from fsslib.layers.resize import resize
from fsslib.methods.base import (
    METHODS,
    FewShotSegmenter,
    OfficialNames,
    Prediction,
    binary_logits,
    foreground,
    require_one_way,
    vote,
)
from fsslib.settings import Settings

DECODER_NAMES: OfficialNames = tuple(
    (rf"decoder\.{ours}\.(\d)\.", rf"hpn_learner.{its}.\1.")
    for ours, its in (
        ("coarse", "encoder_layer4"),
        ("middle", "encoder_layer3"),
        ("fine", "encoder_layer2"),
        ("mix_middle", "encoder_layer4to3"),
        ("mix_fine", "encoder_layer3to2"),
        ("decode", "decoder1"),
        ("classify", "decoder2"),
    )
)
RESNET_NAMES: OfficialNames = (
    (r"backbone\.stem\.0\.", "backbone.conv1."),
    (r"backbone\.stem\.1\.", "backbone.bn1."),
)
VGG_NAMES: OfficialNames = tuple(
    (rf"backbone\.{stage}\.{number}\.", f"backbone.features.{start + number}.")
    for stage, start in zip(STAGE_NAMES, STAGES[False], strict=False)
    for number in range(8)
)


@dataclass(frozen=True)
class HSNetConfig(Settings):
    """What is open in HSNet: its decoder has no numbers to choose."""

    loss: LossName = "cross_entropy"

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`. `scenes`: the embedded benchmark, with a balanced loss."""
        return {"paper": {}, "scenes": {"loss": "cross_entropy_dice"}}


@METHODS.register("hsnet")
class HSNet(FewShotSegmenter):
    """HSNet over an undilated backbone. Its map: `correlation` (B,1,h,w), the coarsest grid's mean
    over features and, at best, over the first support's object.

    Raises:
        ValueError: a dilated backbone, or one whose blocks cannot be read (timm's).
    """

    config_class = HSNetConfig
    dilated = False
    official_names = DECODER_NAMES

    def __init__(self, backbone: StageBackbone, config: HSNetConfig | None = None) -> None:
        super().__init__()
        self.config, counts = config or HSNetConfig(), block_counts(backbone)
        if not isinstance(backbone, VGG16) and backbone.layer3[0].conv2.dilation != (1, 1):
            raise ValueError("HSNet reads an undilated backbone; build it with dilated=False")
        self.backbone = backbone
        self.decoder = HypercorrelationDecoder(counts)

    @classmethod
    def official_names_on(cls, backbone: StageBackbone) -> OfficialNames:
        """The released code spells the two kinds of backbone differently."""
        kind = VGG_NAMES if isinstance(backbone, VGG16) else RESNET_NAMES
        return (*kind, *cls.official_names)

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, "HSNet")
        size = episodes.query_mask.shape[-2:]
        with torch.no_grad():
            query = block_features(self.backbone, self.backbone.preprocess(episodes.query_image))
        shots = range(episodes.shot)
        answers = [self._one_shot(query, episodes, shot) for shot in shots]
        logits = [resize(answer, size) for answer, _ in answers]
        maps = {"correlation": answers[0][1]}
        if len(logits) == 1:
            return Prediction(logits[0], maps)
        margins = torch.stack([part[:, 1] - part[:, 0] for part in logits], 1)
        return Prediction(binary_logits(vote(margins)), maps, tuple(logits))

    def _one_shot(
        self, query: tuple, episodes: Episode, shot: int
    ) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 1 _ _"]]:
        with torch.no_grad():
            images = self.backbone.preprocess(episodes.support_images[:, 0, shot])
            mask = foreground(episodes.support_masks[:, 0, shot])[:, None]
            support = block_features(self.backbone, images)
            maps = tuple(
                hypercorrelation(q, [part * resize(mask, part.shape[-2:]) for part in s])
                for q, s in zip(query, support, strict=True)
            )
        return self.decoder(maps), maps[-1].mean(1).amax((-2, -1))[:, None]

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`; with several shots the mean over their predictions."""
        logits = prediction.auxiliary_logits or (prediction.logits,)
        mask, name = episodes.query_mask, self.config.loss
        losses = [segmentation_loss(part, mask, name) for part in logits]
        return {"main": torch.stack(losses).mean()}
