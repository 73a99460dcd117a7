"""The feature enrichment module of PFENet (Sec. 3.3), the decoder that QGNet builds on.

Query features, prototype and prior maps meet at several scales; what a finer scale learned flows
into the next coarser one (the "top-down" inter-scale path), and each scale is supervised by
itself. Bilinear resizing with `align_corners=True`, no normalisation layers, no biases but in the
classifiers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.layers.blocks import classifier, pointwise, two_convolutions
from fsslib.layers.resize import resize

Features = Float[Tensor, "b d h w"]


class FeatureEnrichment(nn.Module):
    """FEM: (query, prototype, priors) -> enriched features and one prediction a scale.

    Args:
        dim: channels D of query features and prototype.
        maps: number of prior channels (PFENet 1, QGNet 2; 0 for none).
        scales: grid sizes, finest first; values up to 1 are fractions of the feature size.
    """

    def __init__(self, dim: int, maps: int, scales: Sequence[float]) -> None:
        super().__init__()
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales={tuple(scales)}: expected at least one, all above 0")
        self.scales = tuple(scales)
        self.merge = nn.ModuleList(pointwise(2 * dim + maps, dim) for _ in scales)
        self.alpha = nn.ModuleList(pointwise(2 * dim, dim) for _ in scales[1:])
        self.beta = nn.ModuleList(two_convolutions(dim) for _ in scales)
        self.inner = nn.ModuleList(classifier(dim) for _ in scales)
        self.fuse = pointwise(len(scales) * dim, dim)
        self.refine = two_convolutions(dim)

    def forward(
        self,
        query: Features,
        prototype: Float[Tensor, "b d hp wp"],
        priors: Float[Tensor, "b m h w"],
    ) -> tuple[Features, tuple[Float[Tensor, "b 2 _ _"], ...]]:
        """Enriched features at the query's size, and the inner logits of every scale.

        Args:
            prototype: one for all cells (1 x 1), or one for each (ASGNet), on the query's grid.
        """
        outputs: list[Tensor] = []
        inner = []
        for level, scale in enumerate(self.scales):
            grid = _grid(query, scale)
            merged = self.merge[level](self.gather(query, prototype, priors, grid))
            if outputs:
                previous = resize(outputs[-1], grid)
                merged = merged + self.alpha[level - 1](torch.cat([merged, previous], 1))
            merged = merged + self.beta[level](merged)
            inner.append(self.inner[level](merged))
            outputs.append(resize(merged, query.shape[-2:]))
        fused = self.fuse(torch.cat(outputs, 1))
        return fused + self.refine(fused), tuple(inner)

    @staticmethod
    def gather(
        query: Features, prototype: Tensor, priors: Tensor, grid: tuple[int, int]
    ) -> Float[Tensor, "b c gh gw"]:
        """cat[query, prototype everywhere, priors] on a grid: what a scale sees, 2D+M channels."""
        pooled = F.adaptive_avg_pool2d(query, grid)
        spread = F.adaptive_avg_pool2d(prototype, grid)  # a single one goes everywhere
        return torch.cat([pooled, spread, resize(priors, grid)], 1)


def _grid(features: Tensor, scale: float) -> tuple[int, int]:
    if scale > 1:
        return int(scale), int(scale)
    height, width = (max(1, int(side * scale)) for side in features.shape[-2:])
    return height, width
