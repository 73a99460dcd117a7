"""Agglomerative clusters of a picture's cells by their cosines (INSID3, step 6).

Average linkage over all pairs: nothing keeps a cluster together in space, so that two objects of
one kind share a cluster however far apart they lie. scipy's `linkage` is what scikit-learn calls as
well; clusters are cut by their number, as there.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.cluster.hierarchy import linkage
from torch import Tensor

from fsslib.fp32 import in_fp32


@in_fp32
def cosine_distances(features: Float[Tensor, "c h w"]) -> Float[Tensor, "n n"]:
    """1 - cosine, 0..2, of all pairs of cells."""
    unit = F.normalize(features.flatten(1), dim=0)
    return 1 - (unit.T @ unit).clamp(-1, 1)


def merge_tree(distances: Float[Tensor, "n n"]) -> Float[np.ndarray, "m 4"]:
    """scipy's linkage matrix: n - 1 merges in order of their height (average distance)."""
    upper = np.triu_indices(len(distances), 1)
    return linkage(distances.cpu().numpy()[upper], "average")


def cut_tree(tree: Float[np.ndarray, "m 4"], height: float) -> Int64[np.ndarray, " n"]:
    """Clusters before any merge at `height` or above; numbered in order of their first cell."""
    cells = len(tree) + 1
    parents = np.arange(cells + len(tree))
    for number, (left, right, distance, _) in enumerate(tree):
        if distance < height:
            parents[int(left)] = parents[int(right)] = cells + number
    for node in range(len(parents) - 1, -1, -1):  # a parent's number is larger than its children's
        parents[node] = parents[parents[node]]
    _, first, labels = np.unique(parents[:cells], return_index=True, return_inverse=True)
    return first.argsort().argsort()[labels]


def agglomerate(features: Float[Tensor, "c h w"], tau: float = 0.6) -> Int64[Tensor, "h w"]:
    """Number of each cell's cluster: merges at a distance of 1 - `tau` or more are not made.

    For n cells n(n - 1)/2 distances in float64: 67 MB for 64 x 64.
    """
    if features[0].numel() == 1:
        return torch.zeros(features.shape[1:], dtype=torch.int64, device=features.device)
    labels = cut_tree(merge_tree(cosine_distances(features)), 1 - tau)
    return torch.from_numpy(labels).to(features.device).view(features.shape[1:])
