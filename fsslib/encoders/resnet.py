"""ResNets with stage taps and the dilation of the few-shot segmentation papers.

One class, three families: torchvision's (7x7 stem), the deep-stem "v2" of the semantic
segmentation world on which PFENet, BAM, HDMNet and QGNet are published (three 3x3 convolutions),
and the small one that this repository trains on Scenes-10i.

Dilation: *every* conv2 of layer3 has dilation 2 and of layer4 dilation 4, all strides there are 1,
so that the output stride is 8. torchvision's `replace_stride_with_dilation` leaves the first block
of a stage at the previous stage's dilation, and layer4 then differs visibly from the papers'.
"""

from __future__ import annotations

from typing import Literal

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fsslib.encoders.stages import StageBackbone

Stem = Literal["plain", "deep"]


class ResNet(StageBackbone):
    """A ResNet without its classifier.

    Args:
        block: torchvision's BasicBlock or Bottleneck.
        layers: blocks in each of the four stages.
        width: channels of the first stage's 3x3 convolutions (64 in the published networks).
        stem: "plain" (7x7, stride 2) or "deep" (three 3x3; 2*width channels out).
        dilated: output stride 8 as the papers use it; False gives the classifier's 32.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: tuple[int, int, int, int],
        width: int = 64,
        stem: Stem = "plain",
        dilated: bool = True,
    ) -> None:
        super().__init__()
        self.stem = _plain_stem(width) if stem == "plain" else _deep_stem(width)
        channels = width if stem == "plain" else 2 * width
        for number, blocks in enumerate(layers, start=1):
            planes, stride = width * 2 ** (number - 1), 1 if number == 1 else 2
            setattr(self, f"layer{number}", _stage(block, channels, planes, blocks, stride))
            channels = planes * block.expansion
        self.channels = tuple(width * 2**level * block.expansion for level in (1, 2, 3))
        _initialise(self)
        if dilated:
            dilate(self.layer3, 2)
            dilate(self.layer4, 4)


def dilate(stage: nn.Sequential, dilation: int, keep_stride: bool = False) -> None:
    """Take the stride out of a stage and put `dilation` into every one of its conv2.

    A BasicBlock's conv1 is 3x3 as well: it is dilated likewise, except in the first block, whose
    input still lies on the previous stage's grid.

    Args:
        keep_stride: leave the first block's stride of 2. With half the dilation the stage then
            gives every other cell of what it gives without the stride.
    """
    for number, block in enumerate(stage):
        spatial = [block.conv2]
        if isinstance(block, BasicBlock) and number:
            spatial.append(block.conv1)
        for convolution in spatial:
            convolution.dilation = convolution.padding = (dilation, dilation)
        if not keep_stride:
            strided = (block.conv1, block.conv2, *(block.downsample or [])[:1])
            for convolution in strided:
                convolution.stride = (1, 1)


def _stage(block: type, channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    width_out = planes * block.expansion
    downsample = None
    if stride != 1 or channels != width_out:
        convolution = nn.Conv2d(channels, width_out, 1, stride, bias=False)
        downsample = nn.Sequential(convolution, nn.BatchNorm2d(width_out))
    first = block(channels, planes, stride, downsample)
    return nn.Sequential(first, *(block(width_out, planes) for _ in range(1, blocks)))


def _plain_stem(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False), *_norm(width), nn.MaxPool2d(3, 2, 1)
    )


def _deep_stem(width: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, width, 3, 2, 1, bias=False), *_norm(width)),
        *(nn.Conv2d(width, width, 3, 1, 1, bias=False), *_norm(width)),
        *(nn.Conv2d(width, 2 * width, 3, 1, 1, bias=False), *_norm(2 * width)),
        nn.MaxPool2d(3, 2, 1),
    )


def _norm(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
