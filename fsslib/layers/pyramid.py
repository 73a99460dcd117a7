"""Context at several scales: PSPNet's pyramid pooling and DeepLab's ASPP.

`BaseHead` is PSPNet's classifier (Zhao et al., CVPR 2017) on top of layer4: BAM's and HDMNet's base
learner. It is cut in three because HDMNet reads it in the middle: its own prior compares features
behind the BatchNorm and *before* the ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.layers.resize import resize

Features = Float[Tensor, "b c h w"]


class PyramidPooling(nn.Module):
    """The input beside its averages on grids of 1x1 to 6x6 cells, each reduced and spread again.

    Channels double: each of the `bins` contributes an equal share of the input's count.
    """

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        if channels % len(bins):
            raise ValueError(f"channels={channels} cannot be shared by {len(bins)} bins")
        out = channels // len(bins)
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(cells),
                nn.Conv2d(channels, out, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            )
            for cells in bins
        )

    def forward(self, features: Features) -> Float[Tensor, "b c2 h w"]:
        size = features.shape[-2:]
        return torch.cat([features, *(resize(pool(features), size) for pool in self.features)], 1)


class BaseHead(nn.Module):
    """layer4 -> logits of background and the base classes.

    Args:
        channels: of layer4.
        classes: base classes, without background.
        dim: channels of the embedding that HDMNet's prior compares.
    """

    def __init__(self, channels: int, classes: int, dim: int = 512) -> None:
        super().__init__()
        self.ppm = PyramidPooling(channels)
        self.embed = nn.Sequential(
            nn.Conv2d(2 * channels, dim, 3, padding=1, bias=False), nn.BatchNorm2d(dim)
        )
        self.classify = nn.Sequential(nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(dim, classes + 1, 1))

    @property
    def classes(self) -> int:
        """Number of base classes."""
        return self.classify[-1].out_channels - 1

    def features(self, layer4: Features) -> Float[Tensor, "b d h w"]:
        """The embedding before its ReLU."""
        return self.embed(self.ppm(layer4))

    def forward(self, layer4: Features) -> Float[Tensor, "b classes h w"]:
        return self.classify(self.features(layer4))


class ASPP(nn.Module):
    """Five views of the input side by side: its mean, 1x1, and 3x3 at three rates, each with ReLU.

    Channels: five times the input's. Initialised with He's normal, as in BAM's code.
    """

    def __init__(self, channels: int, rates: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        shapes = [(1, 1), (1, 1), *((3, rate) for rate in rates)]
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, k, padding=rate * (k // 2), dilation=rate), nn.ReLU()
            )
            for k, rate in shapes
        )
        for branch in self.branches:
            nn.init.kaiming_normal_(branch[0].weight)

    def forward(self, features: Features) -> Float[Tensor, "b c5 h w"]:
        pooled = F.adaptive_avg_pool2d(features, 1)
        whole = self.branches[0](pooled).expand_as(features)
        return torch.cat([whole, *(branch(features) for branch in self.branches[1:])], 1)
