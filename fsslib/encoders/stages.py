"""What every CNN backbone here has in common: stage taps, preprocessing, and being frozen.

Few-shot segmentation reads a classification network at three depths (layer2, layer3, layer4) and
keeps it frozen, BatchNorm statistics included. The released PFENet and QGNet code leaves BatchNorm
in training mode, so that all running statistics drift to the training images; `official_bn`
brings that back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Features = Float[Tensor, "b c h w"]


class Stages(NamedTuple):
    """Features of one forward pass; layer1 is not read by any method."""

    layer2: Features
    layer3: Features
    layer4: Features


class StageBackbone(nn.Module):
    """Base class: `stem`, `layer1` … `layer4` as modules, one forward that taps them.

    Attributes:
        channels: output channels of layer2, layer3 and layer4.
        official_bn: leave BatchNorm in training mode when the method trains (see module text).
    """

    stem: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    channels: tuple[int, int, int]

    def __init__(self) -> None:
        super().__init__()
        self.official_bn = False
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def preprocess(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB 0..255 to normalised floats. The one place where images are normalised."""
        if images.dtype != torch.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected uint8 RGB in 0..255, "
                "because preprocess() normalises and nobody should do it twice"
            )
        return (images.float() / 255 - self.mean) / self.std

    def stages(self, inputs: Float[Tensor, "b 3 h w"]) -> Stages:
        """Features of already normalised images."""
        layer2 = self.layer2(self.layer1(self.stem(inputs)))
        layer3 = self.layer3(layer2)
        return Stages(layer2, layer3, self.layer4(layer3))

    def forward(self, images: Shaped[Tensor, "b 3 h w"]) -> Stages:
        """Features of uint8 images."""
        return self.stages(self.preprocess(images))

    def freeze(self) -> StageBackbone:
        """No gradients from here on; BatchNorm stays in evaluation mode whatever `train()` says."""
        self.requires_grad_(False)
        return self.train(False)

    def train(self, mode: bool = True) -> StageBackbone:
        frozen = not any(parameter.requires_grad for parameter in self.parameters())
        return super().train(mode and (self.official_bn or not frozen))
