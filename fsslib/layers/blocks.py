"""Convolution blocks that several decoders are made of; no normalisation layers."""

from __future__ import annotations

from torch import nn


def pointwise(channels: int, out: int) -> nn.Sequential:
    """1x1 convolution and ReLU."""
    return nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.ReLU(inplace=True))


def two_convolutions(channels: int) -> nn.Sequential:
    """Two 3x3 convolutions with ReLU, the residual branch used throughout."""
    convolution = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)]
    return nn.Sequential(convolution[0], nn.ReLU(True), convolution[1], nn.ReLU(True))


def classifier(channels: int, classes: int = 2, dropout: float = 0.1) -> nn.Sequential:
    """3x3 convolution, ReLU, channel dropout, 1x1 convolution to logits."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
        nn.Conv2d(channels, classes, 1),
    )
