"""PANet: prototypes that are learned end to end, and nothing else (Wang et al., ICCV 2019).

One prototype a class and one for background, both masked averages; a pixel goes to the nearest by
cosine. The whole network is trained, as no other method here does it: the head is the backbone. In
training the query's own prediction then segments the supports (prototype alignment).

Any number of classes. BatchNorm, which the paper's VGG-16 does not have, keeps its statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import VGG16
from fsslib.fp32 import in_fp32
from fsslib.layers.losses import LossName, picture_losses, segmentation_loss
from fsslib.layers.resize import spread
from fsslib.methods.base import METHODS, FewShotSegmenter, Prediction
from fsslib.settings import NonNegative, Settings

SCALE = 20.0
"""Of the cosine, before the softmax."""
AREA_EPS = 1e-5  # in pixels, as in the released code


@dataclass(frozen=True)
class PANetConfig(Settings):
    """Numbers of PANet."""

    alignment_weight: NonNegative = 1.0
    """Of the supports' loss (Sec. 3.4)."""
    loss: LossName = "cross_entropy"

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`. `scenes`: the embedded benchmark, with a balanced loss."""
        return {"paper": {}, "scenes": {"loss": "cross_entropy_dice"}}


@METHODS.register("panet")
class PANet(FewShotSegmenter):
    """PANet over a copy of any stage backbone, which it trains. Its map: `similarity`
    (B,1+N,h,w)."""

    config_class = PANetConfig
    frozen = ()
    binary = False

    def __init__(self, backbone: StageBackbone, config: PANetConfig | None = None) -> None:
        super().__init__()
        self.backbone, self.config = backbone.copied(trainable=True), config or PANetConfig()
        if isinstance(self.backbone, VGG16):
            dilate_vgg(self.backbone)

    def train(self, mode: bool = True) -> PANet:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, episodes: Episode) -> Prediction:
        masks, shots = episodes.support_masks, episodes.support_images  # (B, N, K, …)
        features = self.backbone(torch.cat([episodes.query_image, shots.flatten(0, 2)])).layer4
        query, flat = features.tensor_split([len(shots)])
        support = flat.unflatten(0, shots.shape[:3])  # (B, N, K, C, h, w)
        # The mean over pixels of the enlarged features, as in the released code, without them.
        shares = (spread(masks == value, flat.shape[-2:]) for value in (0, 1))
        background, classes = (averages(support, share).mean(2) for share in shares)
        prototypes = torch.cat([background.mean(1, keepdim=True), classes], 1)  # (B, 1 + N, C)
        scores = nearness(query, prototypes)
        logits = F.interpolate(scores, masks.shape[-2:], mode="bilinear")
        auxiliary = (self._aligned(query, scores, support),) if self.training else ()
        return Prediction(logits, {"similarity": scores / SCALE}, auxiliary)

    @staticmethod
    def _aligned(
        query: Float[Tensor, "b c h w"],
        scores: Float[Tensor, "b n1 h w"],
        support: Float[Tensor, "b n k c h w"],
    ) -> Float[Tensor, "b n k 2 h w"]:
        """The supports, segmented with prototypes of what the query was predicted to be."""
        predicted = scores.argmax(1, keepdim=True) == torch.arange(
            scores.shape[1], device=scores.device
        ).view(-1, 1, 1)  # (B, 1 + N, h, w)
        prototypes = averages(query[:, None], predicted)  # (B, 1 + N, C)
        background = prototypes[:, :1].expand_as(prototypes[:, 1:])
        pairs = torch.stack([background, prototypes[:, 1:]], 2)  # (B, N, 2, C)
        ways, shots = support.shape[1:3]
        repeated = pairs[:, :, None].expand(-1, -1, shots, -1, -1)
        logits = nearness(support.flatten(0, 2), repeated.flatten(0, 2))
        return logits.unflatten(0, (-1, ways, shots))

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`, and in training `alignment`. Classes that the query was not predicted to hold
        have no prototype there, and no say."""
        mask = episodes.query_mask
        losses = {"main": segmentation_loss(prediction.logits, mask, self.config.loss)}
        if prediction.auxiliary_logits:
            predicted = prediction.maps["similarity"].argmax(1).flatten(1)  # (B, h w)
            ways = torch.arange(1, episodes.way + 1, device=predicted.device)
            present = (predicted[:, None] == ways[:, None]).any(-1)[..., None]  # (B, N, 1)
            terms = self._alignment_terms(prediction.auxiliary_logits[0], episodes)
            losses["alignment"] = self.config.alignment_weight * (terms * present).mean()
        return losses

    def counted(self, term: str, episodes: Episode) -> Tensor | int:
        return len(episodes) if term == "alignment" else super().counted(term, episodes)

    def _alignment_terms(self, logits: Tensor, episodes: Episode) -> Float[Tensor, "b n k"]:
        """Loss of each support picture."""
        masks = episodes.support_masks
        full = F.interpolate(logits.flatten(0, 2), masks.shape[-2:], mode="bilinear")
        return picture_losses(full, masks.flatten(0, 2), self.config.loss).view(masks.shape[:3])


@in_fp32
def averages(features: Float[Tensor, "*batch c h w"], masks: Tensor) -> Float[Tensor, "*batch2 c"]:
    """Mean feature under each mask (*batch2, h, w), in fp32; leading dimensions are broadcast."""
    weights = masks.float()
    area = weights.sum((-2, -1))[..., None] + AREA_EPS
    return (features * weights[..., None, :, :]).sum((-2, -1)) / area


@in_fp32
def nearness(
    features: Float[Tensor, "b c h w"], prototypes: Float[Tensor, "b n c"]
) -> Float[Tensor, "b n h w"]:
    """20 times the cosine of every cell with every prototype."""
    maps = [
        F.cosine_similarity(features, one[..., None, None], dim=1) for one in prototypes.unbind(1)
    ]
    return SCALE * torch.stack(maps, 1)


def dilate_vgg(backbone: VGG16) -> None:
    """PANet's VGG-16: overlapping pools, the fourth without stride, the last stage dilated and
    without its last ReLU. Stride 8."""
    pools = [m for m in backbone.modules() if isinstance(m, nn.MaxPool2d)]
    for number, pool in enumerate(pools):
        pool.kernel_size, pool.padding = 3, 1
        pool.stride = 1 if number == len(pools) - 1 else 2
    for module in backbone.layer4:
        if isinstance(module, nn.Conv2d):
            module.dilation = module.padding = (2, 2)
    if isinstance(backbone.layer4[-1], nn.ReLU):
        backbone.layer4[-1] = nn.Identity()
