"""FSSDINO's maps of one class: cosines with a few prototypes, and a Gram energy (arXiv 2602.07550).

For each class of an episode, background included. Features are raw wherever U, unit length over
channels, is not written; the released code (hussni0997/fssdino, 2485898) carries no licence, so
that all here is from the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.grid_masks import largest_cell, nearest_mask
from fsslib.priors.kmeans import draw_start, kmeans

RANGE_EPS = 1e-8
Query = Literal["raw", "unit"]
EmptyClass = Literal["largest", "never"]


class ClassMaps(NamedTuple):
    """What one class says about a query, before anything is enlarged."""

    prototypes: Float[Tensor, "k c"]
    similarities: Float[Tensor, "k h w"]
    """Cosine with each prototype, -1..1."""
    gram: Float[Tensor, "h w"] | None
    """Energy, 0..1; None where it is switched off."""

    @property
    def all(self) -> Float[Tensor, "m h w"]:
        """The maps that are scored: one a prototype, and the Gram map last."""
        extra = [] if self.gram is None else [self.gram[None]]
        return torch.cat([self.similarities, *extra])


def class_pools(
    features: Float[Tensor, "s c h w"],
    masks: Shaped[Tensor, "s classes rows columns"],
    empty: EmptyClass = "never",
) -> list[Float[Tensor, "_ c"]]:
    """X_c: the features of all cells of a class, in order of (picture, row by row).

    Args:
        masks: one-hot over background and N classes; a pixel may be in none.
        empty: what is done for a class without a cell on the grid: "largest" takes the cell that
            holds most of it, "never" leaves the pool empty, as in the released code, where such a
            class can win nowhere.
    """
    cells = nearest_mask(masks == 1, features.shape[-2:])
    rows = features.permute(0, 2, 3, 1)
    pools = []
    for number in range(masks.shape[1]):
        chosen = cells[:, number]
        if empty == "largest" and not chosen.any():
            chosen = largest_cell(masks[:, number] == 1, features.shape[-2:])
        pools.append(rows[chosen])
    return pools


def class_prototypes(
    pool: Float[Tensor, "n c"],
    count: int = 5,
    start: Int64[Tensor, " k"] | None = None,
    seed: int = 0,
) -> Float[Tensor, "k c"]:
    """P_c: the cells themselves where there are fewer than `count`, else centres of k-means.

    Args:
        count: 5 in the configurations of the paper's table; its layer study runs with 10.
        start: rows that k-means starts from; None: drawn with `seed`.
    """
    if len(pool) < count:
        return pool
    return kmeans(pool, draw_start(len(pool), count, seed) if start is None else start).centres


@in_fp32
def prototype_maps(
    query: Float[Tensor, "c h w"], prototypes: Float[Tensor, "k c"]
) -> Float[Tensor, "k h w"]:
    """A_c: cosine of every query cell with every prototype."""
    unit = F.normalize(query, dim=0)
    return torch.einsum("kc,chw->khw", F.normalize(prototypes, dim=1), unit)


@in_fp32
def class_gram(pool: Float[Tensor, "n c"]) -> Float[Tensor, "c c"]:
    """G_c: the mean of U[x] U[x]' over a class's cells."""
    unit = F.normalize(pool, dim=1)
    return unit.T @ unit / len(pool)


@in_fp32
def gram_energy(
    query: Float[Tensor, "c h w"], gram: Float[Tensor, "c c"], gram_query: Query = "raw"
) -> Float[Tensor, "h w"]:
    """e_c(i) = q' G q. With `raw` query features, as released, it is |q|² times the mean squared
    cosine with the class's cells, so that long features win; with `unit` ones it is that mean."""
    features = F.normalize(query, dim=0) if gram_query == "unit" else query
    return torch.einsum("chw,cd,dhw->hw", features, gram, features)


@in_fp32
def gram_energy_of_pool(
    query: Float[Tensor, "c h w"], pool: Float[Tensor, "n c"], gram_query: Query = "raw"
) -> Float[Tensor, "h w"]:
    """The same without a C x C matrix: the mean over cells of (U[x]·q)², cheaper for n < C."""
    features = F.normalize(query, dim=0) if gram_query == "unit" else query
    along = torch.einsum("nc,chw->nhw", F.normalize(pool, dim=1), features)
    return along.square().mean(0)


@in_fp32
def stretch(energy: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Min-max over the picture, with 1e-8 added to the range."""
    return (energy - energy.min()) / (energy.max() - energy.min() + RANGE_EPS)


def class_maps(
    query: Float[Tensor, "c h w"],
    pool: Float[Tensor, "n c"],
    count: int = 5,
    gram: bool = True,
    gram_query: Query = "raw",
    start: Int64[Tensor, " k"] | None = None,
    seed: int = 0,
) -> ClassMaps:
    """Steps 2 to 4 for one class that has at least one cell."""
    prototypes = class_prototypes(pool, count, start, seed)
    energy = _energy(query, pool, gram_query) if gram else None
    return ClassMaps(prototypes, prototype_maps(query, prototypes), energy)


def _energy(query: Tensor, pool: Tensor, gram_query: Query) -> Tensor:
    cheaper = len(pool) < pool.shape[1]
    if cheaper:
        return stretch(gram_energy_of_pool(query, pool, gram_query))
    return stretch(gram_energy(query, class_gram(pool), gram_query))


@in_fp32
def class_score(maps: Float[Tensor, "m h w"], size: Sequence[int]) -> Float[Tensor, "rows columns"]:
    """s_c = (largest of a class's maps) · (their mean), at every pixel: each map is enlarged first
    (bilinear). The product of two negative numbers is positive: without a Gram map, a cell that
    resembles nothing scores."""
    full = F.interpolate(maps[None], tuple(size), mode="bilinear", align_corners=False)[0]
    return full.amax(0) * full.mean(0)


def class_scores(
    classes: Sequence[ClassMaps | None], size: Sequence[int], device: torch.device | str = "cpu"
) -> Float[Tensor, "classes rows columns"]:
    """The scores of all classes, background first; minus infinity for one without maps (None)."""
    nowhere = torch.full(tuple(size), -torch.inf, device=device)
    return torch.stack(
        [nowhere if each is None else class_score(each.all, size) for each in classes]
    )


def predict_classes(scores: Float[Tensor, "classes rows columns"]) -> UInt8[Tensor, "rows columns"]:
    """The class of the highest score; ties go to the lower number, background first."""
    return scores.argmax(0).to(torch.uint8)


def at_size(
    prediction: UInt8[Tensor, "rows columns"], size: Sequence[int], classes: int
) -> UInt8[Tensor, "height width"]:
    """A prediction at the photograph's size: one-hot, nearest pixel's centre, argmax."""
    one_hot = F.one_hot(prediction.long(), classes).permute(2, 0, 1)[None].float()
    full = F.interpolate(one_hot, tuple(size), mode="nearest-exact")[0]
    return predict_classes(full)
