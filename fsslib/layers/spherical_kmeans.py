"""Spherical k-means: cluster centres that are directions, for cells that count with weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32

Centres = Float[Tensor, "b p d"]


@in_fp32
def spherical_kmeans(
    points: Float[Tensor, "b n d"],
    weights: Float[Tensor, "b n"],
    count: int = 5,
    iterations: int = 10,
) -> Centres:
    """Unit centres (Dhillon and Modha, 2001); nothing is drawn at random.

    The first centre is the point nearest to the mean direction, every other one the point farthest
    from those before it; only points of at least half the largest weight are taken. With fewer
    different points than centres some are equal; without any weight all are zero.

    Args:
        points: unit vectors.
        weights: at least 0.
    """
    centres = _spread(points, weights, count)
    for _ in range(iterations):
        nearest = (points @ centres.mT).argmax(2)  # (b, n)
        member = F.one_hot(nearest, count).to(points.dtype) * weights[..., None]
        means = member.mT @ points
        empty = member.sum(1)[..., None] == 0
        centres = torch.where(empty, centres, F.normalize(means, dim=-1))
    return centres * (weights.sum(1) > 0)[:, None, None]


def _spread(points: Tensor, weights: Tensor, count: int) -> Centres:
    rows = torch.arange(len(points), device=points.device)
    light = weights < 0.5 * weights.amax(1, keepdim=True)
    mean = F.normalize((points * weights[..., None]).sum(1), dim=-1)
    closeness = -torch.einsum("bnd,bd->bn", points, mean)
    chosen = []
    for _ in range(count):
        pick = closeness.masked_fill(light, torch.inf).argmin(1)
        chosen.append(points[rows, pick])
        near = torch.einsum("bnd,bd->bn", points, chosen[-1])
        closeness = near if len(chosen) == 1 else torch.maximum(closeness, near)
    return torch.stack(chosen, 1)
