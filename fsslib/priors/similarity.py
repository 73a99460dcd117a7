"""Maps of likeness: how much each query position resembles something.

PFENet's prior mask (Tian et al., TPAMI 2020, Eqs. 1-4) asks about the support's foreground; QGNet
calls the same map the guided region map, and adds one that asks about the query itself, seen by
another encoder. PI-CLIP's visual-visual prior is the prior mask on CLIP's features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.masked_cells import masked_cells, take_cells

COSINE_EPS = 1e-7  # added to the product of norms, and to the range of the min-max
CHUNK_ELEMENTS = 2**25  # similarity entries held at a time: 128 MiB in fp32
CPU_CHUNK_ELEMENTS = 2**21  # 8 MiB: larger tensors leave a CPU's caches

Map = Float[Tensor, "b 1 h w"]


@in_fp32
def best_match(
    query: Float[Tensor, "b c hq wq"], support: Float[Tensor, "b c hs ws"]
) -> Float[Tensor, "b hq wq"]:
    """Cosine of each query position with its most similar support position.

    All-zero vectors have cosine 0 with everything, so that masked-out support positions put a
    floor of 0 under the result. Memory: two chunks of similarities.
    """
    query_norm = query.flatten(2).norm(dim=1)
    best = _best_cosine(query.flatten(2), query_norm, support.flatten(2).mT)
    return best.unflatten(1, query.shape[-2:])


def _best_cosine(
    query: Float[Tensor, "b c q"], norms: Float[Tensor, "b q"], support: Float[Tensor, "b s c"]
) -> Float[Tensor, "b q"]:
    support_norms = support.norm(dim=2)[:, None]
    most = CPU_CHUNK_ELEMENTS if query.device.type == "cpu" else CHUNK_ELEMENTS
    rows = max(1, most // (query.shape[0] * support.shape[1]))
    best = []
    for part, norm in zip(query.split(rows, 2), norms.split(rows, 1), strict=True):
        similar = torch.einsum("bcq,bsc->bqs", part, support)
        best.append(similar.div_(norm[:, :, None] * support_norms + COSINE_EPS).amax(2))
    return torch.cat(best, 1)


def _best_of_masked(
    query: Float[Tensor, "b c h w"],
    support: Float[Tensor, "b k c hs ws"],
    masks: Float[Tensor, "b k hs ws"],
) -> Float[Tensor, "b k h w"]:
    """`best_match` with each shot's cells, multiplied by its mask. Masked-out cells are zero
    vectors, whose cosine of 0 is the floor: one of them does for all."""
    flat = query.flatten(2)
    norms, best = flat.norm(dim=1), []
    for shot in range(support.shape[1]):
        cells, mask = support[:, shot].flatten(2).mT, masks[:, shot].flatten(1)
        if (places := masked_cells(mask, spare=1)) is not None:
            cells, mask = take_cells(cells, places), mask.gather(1, places)
        best.append(_best_cosine(flat, norms, cells * mask[..., None]))
    return torch.stack(best, 1).unflatten(2, query.shape[-2:])


@in_fp32
def unit(vectors: Tensor, dim: int = 1) -> Tensor:
    """Length 1 along `dim`; zero stays zero, and so do its gradients (there is no epsilon). Sums
    of squares, because torch's norm is slow on a CPU where `dim` is not the last one."""
    return vectors * _inverse_norm(vectors, dim)


def _inverse_norm(vectors: Tensor, dim: int) -> Tensor:
    squares = vectors.square().sum(dim, keepdim=True)
    return torch.where(squares > 0, squares, 1.0).rsqrt()


@in_fp32
def cosine_map(
    features: Float[Tensor, "b c h w"], vector: Float[Tensor, "b c"]
) -> Float[Tensor, "b h w"]:
    """Cosine of every cell with one vector a picture; 0 where either is zero."""
    along = torch.einsum("bchw,bc->bhw", features, unit(vector))
    return along * _inverse_norm(features, 1)[:, 0]


@in_fp32
def min_max(maps: Float[Tensor, "... h w"]) -> Float[Tensor, "... h w"]:
    """Each map stretched to 0..1; a constant map becomes all zero."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low + COSINE_EPS)


@in_fp32
def similarity_maps(
    query: Float[Tensor, "b c h w"],
    support: Float[Tensor, "b k c h w"],
    masks: Shaped[Tensor, "b k hm wm"],
    stretch: bool = False,
) -> Float[Tensor, "b k h w"]:
    """PI-CLIP's visual-visual prior of one layer (VVP, Eqs. 6-8): one map for each shot.

    Args:
        masks: 1 is foreground, everything else is not (255 too); brought to the features' grid by
            nearest neighbour.
        stretch: min-max, as Eq. 8 prints; the released code leaves it out.

    Returns:
        Cosine of every query cell with its most similar foreground cell, 0 where all are
        negative (unless no cell is masked out); all zero for an empty mask. In fp32 whatever
        autocast says.
    """
    foreground = F.interpolate((masks == 1).float(), support.shape[-2:])
    maps = _best_of_masked(query, support, foreground)
    return min_max(maps) if stretch else maps


@in_fp32
def prior_mask(
    query: Float[Tensor, "b c h w"],
    support: Float[Tensor, "b k c h w"],
    masks: Float[Tensor, "b k hm wm"],
) -> tuple[Map, Float[Tensor, "b k h w"]]:
    """The prior mask (mean over shots), and the map of each shot.

    Args:
        query: high-level query features.
        support: high-level support features; PFENet has already masked their layer3 input.
        masks: foreground 1, else 0, at any size; brought to the feature grid bilinearly (soft).

    Returns:
        (B,1,h,w) in 0..1 and (B,K,h,w), both min-max normalised per shot before the mean.
        Always computed in fp32: the min-max magnifies what half precision rounds away.
    """
    masks = F.interpolate(masks, support.shape[-2:], mode="bilinear", align_corners=True)
    per_shot = min_max(_best_of_masked(query, support, masks))
    return per_shot.mean(1, keepdim=True), per_shot


@in_fp32
def prior_region_map(
    bridge: Float[Tensor, "b c h w"], prior: Float[Tensor, "b c hp wp"]
) -> Float[Tensor, "b 1 h w"]:
    """QGNet's prior region map (Liu et al., 2021, Eqs. 9-12): how much every cell of the backbone's
    features (`bridge`) resembles any cell of the extractor's features (`prior`) of the same
    picture, stretched to 0..1. A constant map becomes all zero; in fp32 whatever autocast says."""
    return min_max(best_match(bridge, prior))[:, None]
