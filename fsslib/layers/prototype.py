"""Masked average pooling: the mean feature under a mask, few-shot segmentation's prototype."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32

AREA_EPS = 5e-4  # in cells, as in the official `Weighted_GAP` of PFENet, BAM, HDMNet and QGNet


@in_fp32
def masked_average(
    features: Float[Tensor, "b c h w"], masks: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c 1 1"]:
    """sum(f * m) / (sum(m) + 5e-4). An empty mask gives zeros, a full one very nearly the mean."""
    area = masks.sum((-2, -1), keepdim=True) + AREA_EPS
    return (features * masks).sum((-2, -1), keepdim=True) / area
