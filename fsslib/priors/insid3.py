"""INSID3's steps after its features: candidates, clusters, seed, aggregation (arXiv 2603.28480).

Feature maps here are of unit length; `debiased` ones find candidates and the seed, `plain` ones
make clusters, because a cluster wants the position that debiasing takes out. The released code
(visinf/INSID3, f1c9622, Apache-2.0) differs from the paper: candidates are forward *and* backward
(paper: backward), a cluster's score is weighted by the share of candidates in it and kept above
alpha (paper: unweighted, at least alpha). Both are switches, as released by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from fsslib.fp32 import in_fp32

NOWHERE = 0.9
"""Quantile of the forward similarity above which cells are taken where none is positive."""


class Candidates(NamedTuple):
    """Cells of the query that may be the object."""

    similarity: Float[Tensor, "h w"]
    """Cosine with the prototype, debiased."""
    forward: Bool[Tensor, "h w"]
    votes: Int[Tensor, "h w"]
    """Shots in which a cell's nearest support cell lies in the mask."""
    backward: Bool[Tensor, "h w"]
    both: Bool[Tensor, "h w"]


class Aggregation(NamedTuple):
    """What becomes of G clusters."""

    seed: int | None
    """The cluster most like the prototype; None where there is no candidate."""
    intra: Float[Tensor, " g"]
    """Cosine of each cluster's plain mean with the seed's."""
    cross: Float[Tensor, " g"]
    """Mean over each cluster's cells of the cosine with the prototype, debiased."""
    share: Float[Tensor, " g"]
    """Share of candidates; 1 for the seed."""
    score: Float[Tensor, " g"]
    selected: Bool[Tensor, " g"]

    def map(self, labels: Int64[Tensor, "h w"]) -> Float[Tensor, "h w"]:
        """Each cell's score: its cluster's."""
        return self.score[labels]


@in_fp32
def prototype(
    debiased: Float[Tensor, "k c h w"], masks: Bool[Tensor, "k h w"]
) -> Float[Tensor, " c"]:
    """U[mean over shots of (mean over the mask)]: each shot counts once, whatever its area. Shots
    without a cell take no part."""
    shots = [
        features[:, mask].mean(1)
        for features, mask in zip(debiased, masks, strict=True)
        if mask.any()
    ]
    if not shots:
        return debiased.new_zeros(debiased.shape[1])
    return F.normalize(torch.stack(shots).mean(0), dim=0)


@in_fp32
def forward_candidates(
    query: Float[Tensor, "c h w"], prototype: Float[Tensor, " c"]
) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Cosine with the prototype, and where it is positive; if that is nowhere, where it is above
    its 0.9 quantile."""
    similarity = torch.einsum("chw,c->hw", query, prototype)
    chosen = similarity > 0
    if not chosen.any():
        chosen = similarity > torch.quantile(similarity, NOWHERE)
    return similarity, chosen


@in_fp32
def backward_votes(
    query: Float[Tensor, "c h w"],
    support: Float[Tensor, "k c h2 w2"],
    masks: Bool[Tensor, "k h2 w2"],
) -> Int64[Tensor, "h w"]:
    """In how many shots the support cell most like a query cell lies in the mask."""
    votes = torch.zeros(query.shape[1:], dtype=torch.int64, device=query.device)
    for features, mask in zip(support, masks, strict=True):
        best = (query.flatten(1).T @ features.flatten(1)).argmax(1)
        votes += mask.flatten()[best].view_as(votes)
    return votes


def candidates(
    query: Float[Tensor, "c h w"],
    support: Float[Tensor, "k c h2 w2"],
    masks: Bool[Tensor, "k h2 w2"],
    forward: bool = True,
) -> Candidates:
    """Debiased cells that the prototype takes (forward) and that come back into the mask in at
    least half of the shots (backward; of two shots one is enough).

    Args:
        forward: False: backward alone, as in the paper.
    """
    similarity, ahead = forward_candidates(query, prototype(support, masks))
    votes = backward_votes(query, support, masks)
    back = votes >= (len(support) + 1) // 2
    return Candidates(similarity, ahead, votes, back, back & ahead if forward else back)


@in_fp32
def cluster_means(
    features: Float[Tensor, "c h w"], labels: Int64[Tensor, "h w"]
) -> Float[Tensor, "g c"]:
    """Mean feature of each cluster, not of unit length."""
    member = F.one_hot(labels.flatten()).to(features.dtype)  # (n, G)
    return (member.T @ features.flatten(1).T) / member.sum(0)[:, None]


@in_fp32
def aggregate(
    plain: Float[Tensor, "c h w"],
    debiased: Float[Tensor, "c h w"],
    labels: Int64[Tensor, "h w"],
    chosen: Bool[Tensor, "h w"],
    prototype: Float[Tensor, " c"],
    alpha: float = 0.2,
    area_weight: bool = True,
    strict: bool = True,
) -> Aggregation:
    """The seed and the clusters that join it: S_g = cross · intra · share.

    The seed is the cluster with a candidate whose debiased mean is most like the prototype; its
    score is its `cross`, which is another cosine, so that it can itself be dropped.

    Args:
        area_weight: False leaves out the share, as in the paper; clusters without a candidate have
            score 0 all the same.
        strict: keep S_g > alpha; False: at least alpha, as in the paper.
    """
    share = cluster_means(chosen[None].float(), labels)[:, 0]
    cross = cluster_means(torch.einsum("chw,c->hw", debiased, prototype)[None], labels)[:, 0]
    if not chosen.any():
        nothing = torch.zeros_like(cross)
        return Aggregation(None, nothing, cross, share, nothing, nothing > 0)
    means = F.normalize(cluster_means(debiased, labels), dim=1) @ prototype
    seed = int(means.masked_fill(share == 0, -torch.inf).argmax())
    own = F.normalize(cluster_means(plain, labels), dim=1)
    share[seed] = 1
    weight = share if area_weight else (share > 0).float()
    score = cross * (own @ own[seed]) * weight
    return Aggregation(seed, own @ own[seed], cross, share, score, _above(score, alpha, strict))


def _above(score: Tensor, alpha: float, strict: bool) -> Tensor:
    # fp32 scores against an fp32 alpha, as the released code compares them
    limit = torch.tensor(alpha, dtype=score.dtype, device=score.device)
    return score > limit if strict else score >= limit


def official_edges(
    cells: Bool[Tensor, "h w"], square: int, size: Sequence[int]
) -> Bool[Tensor, "rows columns"]:
    """The mask at the photograph's size, rounded twice: to the input square, then to `size`."""
    mask = cells[None, None].float()
    for target in ((square, square), tuple(size)):
        full = F.interpolate(mask, target, mode="bilinear", align_corners=False)
        mask = (full > 0.5).float()
    return mask[0, 0] > 0


def margin(
    aggregation: Aggregation, labels: Int64[Tensor, "h w"], alpha: float, strict: bool = True
) -> Float[Tensor, "h w"]:
    """S_g - alpha of each cell, -alpha where there are no candidates: positive exactly where a
    cluster is kept."""
    score = aggregation.map(labels) - alpha
    tiny = torch.finfo(score.dtype).tiny
    if not strict:
        score = torch.where(score == 0, tiny, score)
    return score if aggregation.seed is not None else torch.full_like(score, -max(alpha, tiny))
