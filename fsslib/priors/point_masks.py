"""Masks of points without SAM: what stands in for a mask generator where there is none.

A mask generator is any callable from points (P,2), (x, y) in pixels of a picture, to masks
(P,H,W): SAM is one (`encoders/sam.py`), and so are the two here. Superpixels know colours alone,
clusters know the features that the method compares, and neither has learned what an object is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from skimage.color import rgb2lab
from torch import Tensor

from fsslib.priors.agglomerative import agglomerate
from fsslib.priors.superpixels import SuperpixelConfig, superpixels

PointMasks = Callable[[Int64[Tensor, "p 2"]], Bool[Tensor, "p rows columns"]]
SCALES = (50.0, 200.0, 800.0)
"""Felzenszwalb's k of the fine, the middle and the coarse superpixels."""
SPREAD = 5.0
"""Added to a segment's own spread of colours, so that a flat one does not win by being flat."""


def superpixel_masks(
    image: UInt8[Tensor, "3 rows columns"], scales: Sequence[float] = SCALES
) -> PointMasks:
    """Of each point the segment that stands out most among those that hold it, one of every scale.

    A segment stands out by how far the colours just outside lie from its own, in units of its own
    spread (Lab).
    """
    picture = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    longest = min(8192, max(picture.shape[:2]))
    labels = [
        superpixels(picture, SuperpixelConfig("felzenszwalb", longest, scale=scale, min_size=20))
        for scale in scales
    ]
    colours = rgb2lab(picture)
    levels = torch.stack([torch.from_numpy(each.astype(np.int64)) for each in labels])
    contrast = torch.stack([torch.from_numpy(stands_out(each, colours)) for each in labels])
    levels, contrast = levels.to(image.device), contrast.to(image.device)

    def masks_of(points: Int64[Tensor, "p 2"]) -> Bool[Tensor, "p rows columns"]:
        x, y = points.T
        best = contrast[:, y, x].argmax(0)  # (p,)
        return levels[best] == levels[best, y, x][:, None, None]

    return masks_of


def stands_out(
    labels: Shaped[np.ndarray, "rows columns"], colours: Float[np.ndarray, "rows columns 3"]
) -> Float[np.ndarray, "rows columns"]:
    """How much each pixel's segment differs in colour from the pixels that touch it."""
    count, flat = int(labels.max()) + 1, labels.astype(np.int64)
    mean, squares = (
        _means(flat.ravel(), each.reshape(-1, 3), count) for each in (colours, colours**2)
    )
    spread = np.sqrt(np.maximum(squares - mean**2, 0).sum(1))
    inside, outside = _across_borders(flat, colours)
    distance = np.linalg.norm(outside - mean[inside], axis=1)
    touching = np.bincount(inside, minlength=count)
    jump = np.bincount(inside, distance, minlength=count) / np.maximum(touching, 1)
    return (jump / (spread + SPREAD))[flat]


def _means(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    sums = np.stack([np.bincount(labels, column, minlength=count) for column in values.T], 1)
    return sums / np.bincount(labels, minlength=count)[:, None]


def _across_borders(labels: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For all neighbouring pixels of two segments, both ways: the one's segment, the other's
    colour."""
    pairs = [(labels[:-1], labels[1:], colours[:-1], colours[1:])]
    pairs += [(labels[:, :-1], labels[:, 1:], colours[:, :-1], colours[:, 1:])]
    inside, outside = [], []
    for first, second, first_colours, second_colours in pairs:
        border = first != second
        inside += [first[border], second[border]]
        outside += [second_colours[border], first_colours[border]]
    return np.concatenate(inside), np.concatenate(outside)


def cluster_masks(
    features: Float[Tensor, "c h w"], size: Sequence[int], tau: float = 0.6
) -> PointMasks:
    """Of each point the agglomerative cluster of its cell (`agglomerate`), in pixels.

    Args:
        size: rows and columns of the picture.
    """
    clusters = agglomerate(features, tau)
    labels = F.interpolate(clusters[None, None].float(), tuple(size), mode="nearest-exact")
    labels = labels[0, 0].long()

    def masks_of(points: Int64[Tensor, "p 2"]) -> Bool[Tensor, "p rows columns"]:
        x, y = points.T
        return labels == labels[y, x][:, None, None]

    return masks_of
