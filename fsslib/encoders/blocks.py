"""What every block or convolution of a backbone says, before its ReLU: HSNet reads these."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fsslib.encoders.pass_cache import Made
from fsslib.encoders.resnet import ResNet
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import VGG16

Level = list[Tensor]
"""Features (b, c, h, w) of one grid, in the order of the network."""


def block_counts(backbone: StageBackbone) -> tuple[int, int, int]:
    """How many features `block_features` gives on each grid, finest first.

    Raises:
        ValueError: neither a ResNet nor a VGG-16 of this repository.
    """
    if not isinstance(backbone, (ResNet, VGG16)):
        raise ValueError(
            f"{type(backbone).__name__}: HSNet reads every block before its ReLU, which ResNets "
            "and VGG-16 of `BACKBONES` alone have; build one of them with dilated=False"
        )
    if isinstance(backbone, VGG16):
        convolutions = [
            sum(isinstance(module, nn.Conv2d) for module in stage)
            for stage in (backbone.layer3, backbone.layer4)
        ]
        return (*convolutions, 1)
    return len(backbone.layer2), len(backbone.layer3), len(backbone.layer4)


def block_features(
    backbone: StageBackbone, images: Float[Tensor, "b 3 h w"]
) -> tuple[Level, Level, Level]:
    """Features of normalised images on three grids, finest first.

    ResNets: the sum of each block of layer2, layer3 and layer4. VGG-16: each convolution of its
    last two stages, and its fifth pooling.
    """
    outputs = backbone.once("blocks", images, partial(_blocks, backbone))
    fine, middle, _ = block_counts(backbone)
    return list(outputs[:fine]), list(outputs[fine : fine + middle]), list(outputs[fine + middle :])


def _blocks(backbone: StageBackbone, images: Tensor) -> Made:
    hidden = backbone.layer1(backbone.stem(images))
    if isinstance(backbone, VGG16):
        fine, hidden = _convolutions(backbone.layer3, backbone.layer2(hidden))
        middle, hidden = _convolutions(backbone.layer4, hidden)
        return *fine, *middle, F.max_pool2d(hidden, 2)
    sums = []
    for stage in (backbone.layer2, backbone.layer3, backbone.layer4):
        for block in stage:
            sums.append(residual_sum(block, hidden))
            hidden = sums[-1].relu()
    return tuple(sums)


def residual_sum(
    block: BasicBlock | Bottleneck, hidden: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c2 h2 w2"]:
    """A block's output before its last ReLU."""
    out = block.bn2(block.conv2(block.bn1(block.conv1(hidden)).relu()))
    if isinstance(block, Bottleneck):
        out = block.bn3(block.conv3(out.relu()))
    return out + (hidden if block.downsample is None else block.downsample(hidden))


def _convolutions(stage: nn.Sequential, hidden: Tensor) -> tuple[Level, Tensor]:
    """What each ReLU of a stage is given, and what the stage gives."""
    preactivations = []
    for module in stage:
        if isinstance(module, nn.ReLU):  # in place, and would reach what was kept
            preactivations.append(hidden)
            hidden = hidden.relu()
        else:
            hidden = module(hidden)
    return preactivations, hidden
