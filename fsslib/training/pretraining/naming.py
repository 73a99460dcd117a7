"""Naming what a picture shows from image labels: the models and the loss.

`Classifier` reads the mean of layer4, as ImageNet's classifiers do: a feature may then stand for
the whole picture, and says little of its own place. `LocalClassifier` reads each cell by itself and
pools what the cells say by log-sum-exp, the smooth maximum of multiple-instance learning (Pinheiro
& Collobert, CVPR 2015, Eq. 3, with r = 1 and without the mean over cells): one cell that is sure is
enough, so that the object's own cells learn its name. It does so at layer3 as well as at layer4,
because few-shot methods match layer3 and layer2.

The loss is cross-entropy between the classes shown, in equal parts, and a softmax over all classes
(Mahajan et al., ECCV 2018). Over cells and classes together it is one softmax: names compete for
the picture, and a cell of background pays for every class that it suggests.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.resnet import dilate
from fsslib.encoders.stages import StageBackbone
from fsslib.fp32 import in_fp32

READ = ("layer4", "layer3")
"""The stages that `LocalClassifier` reads; the first one answers."""


class Classifier(nn.Module):
    """A backbone with a linear layer on the spatial mean of layer4."""

    def __init__(self, backbone: StageBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.channels[2], len(CLASS_NAMES))

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "1 b 40"]:
        return self.head(self.backbone(images).layer4.mean((-2, -1)))[None]

    def refine(self) -> None:
        """Nothing: it is trained undilated throughout."""


class LocalClassifier(nn.Module):
    """A backbone with a linear layer on every cell of layer4 and one on every cell of layer3."""

    def __init__(self, backbone: StageBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        channels = {"layer3": backbone.channels[1], "layer4": backbone.channels[2]}
        heads = {stage: nn.Conv2d(channels[stage], len(CLASS_NAMES), 1) for stage in READ}
        self.heads = nn.ModuleDict(heads)

    def cells(self, images: UInt8[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b 40 hs ws"]]:
        """Logits of every cell, a map for each stage that is read."""
        stages = self.backbone(images)._asdict()
        return [head(stages[stage]).float() for stage, head in self.heads.items()]

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "2 b 40"]:
        return torch.stack([maps.flatten(2).logsumexp(-1) for maps in self.cells(images)])

    def refine(self) -> None:
        """Layer3 at stride 8, as it is used, and layer4 at 16: every other cell of the layer4 that
        is used, at a quarter of its cost. Doing so twice changes nothing."""
        dilate(self.backbone.layer3, 2)
        dilate(self.backbone.layer4, 2, keep_stride=True)


@in_fp32
def naming_loss(
    logits: Float[Tensor, "n b c"], shown: Float[Tensor, "b c"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Sum over the n readings of the mean cross-entropy with the classes shown, in equal parts."""
    shares = shown / shown.sum(1, keepdim=True)
    losses = [F.cross_entropy(one, shares, label_smoothing=smoothing) for one in logits]
    return torch.stack(losses).sum()


def named_right(logits: Float[Tensor, "n b c"], shown: Float[Tensor, "b c"]) -> Tensor:
    """Whether the class that the first reading finds likeliest is shown: (b,) bool."""
    return shown.gather(1, logits[0].argmax(1, keepdim=True))[:, 0] > 0
