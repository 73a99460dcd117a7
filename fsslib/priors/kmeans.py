"""k-means as FSSDINO's code runs it: cosine assignment, plain means, no iteration limit.

Unlike `layers/spherical_kmeans.py` it starts from given rows and its centres are means of raw rows,
so that long features weigh more than short ones.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from fsslib.fp32 import in_fp32

Metric = Literal["cosine", "euclidean"]
TOLERANCE = 1e-4
"""On the squared sum of the centres' moves; absolute, so it depends on the features' scale."""
MOST_ROUNDS = 10_000
"""A guard alone: a round that reaches it is reported as an error."""


class Clusters(NamedTuple):
    """Of n rows in k clusters."""

    centres: Float[Tensor, "k c"]
    labels: Int64[Tensor, " n"]
    """Of the last assignment, made before the centres moved for the last time."""
    iterations: int


def draw_start(rows: int, count: int, seed: int) -> Int64[Tensor, " k"]:
    """`count` different rows. The released code draws them from numpy's global generator; here the
    seed is an argument, and the numbers are the host's on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(rows, generator=generator)[:count]


@in_fp32
def kmeans(
    points: Float[Tensor, "n c"],
    start: Int64[Tensor, " k"],
    metric: Metric = "cosine",
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Clusters:
    """Cluster rows, beginning with the rows numbered `start` as centres.

    Each row goes to the nearest centre (smallest 1 - cosine, or smallest distance), ties to the
    lower number; each centre becomes the plain mean of its rows, a random row where it has none.
    It ends when (sum of the centres' moves)² < `tolerance`; one centre is the mean at once. A zero
    row has cosine 0 with everything and goes to centre 0; the released code's cosines are NaN.

    Args:
        seed: of the rows that empty clusters are given.
    """
    if len(start) == 1:
        return Clusters(points.mean(0, keepdim=True), points.new_zeros(len(points)).long(), 0)
    generator = torch.Generator().manual_seed(seed)
    centres, iterations = points[start.to(points.device)], 0
    while True:
        labels = _distances(points, centres, metric).argmin(1)
        moved = _means(points, labels, len(centres), generator)
        shift = (moved - centres).norm(dim=1).sum()
        centres, iterations = moved, iterations + 1
        if shift**2 < tolerance:
            return Clusters(centres, labels, iterations)
        if iterations == MOST_ROUNDS:
            raise ValueError(f"k-means still moves by {float(shift):.3g} after {iterations} rounds")


def _distances(points: Tensor, centres: Tensor, metric: Metric) -> Tensor:
    if metric == "cosine":
        return 1 - F.normalize(points, dim=1) @ F.normalize(centres, dim=1).T
    if metric == "euclidean":
        return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
    raise ValueError(f"metric={metric!r}: expected 'cosine' or 'euclidean'")


def _means(points: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    means = []
    for label in range(count):
        rows = points[labels == label]
        if not len(rows):
            rows = points[torch.randint(len(points), (1,), generator=generator).to(points.device)]
        means.append(rows.mean(0))
    return torch.stack(means)
