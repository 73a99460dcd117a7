"""GF-SAM's graph of masks: which of many masks of points belong to the object.

Nodes are points, each with its mask; an edge goes from a mask to every point that it covers.
Connected components are judged twice: by whether their masks gain more object than background
(positive gating), and by whether their points resemble their own component most (overshooting
gating). Steps and numbers as in the released code, whose surprises are named where they happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.gfsam import cosines, weighed_maps
from fsslib.priors.grid_masks import nearest_mask, soft_mask

Connection = Literal["weak", "strong"]
Gating = Literal["growth", "union"]


class Gate(NamedTuple):
    """Positive gating of P points in G components."""

    threshold: Float[Tensor, ""]
    """t = (max A + min A) / 2, which the paper calls a median."""
    polarity: Float[Tensor, "h w"]
    """R: 1 where A² > t A-."""
    positive: Bool[Tensor, " p"]
    scores: Float[Tensor, " p"]
    """Of each point's component."""


class Selection(NamedTuple):
    """What becomes of P points and their masks."""

    components: Int64[Tensor, " p"]
    gate: Gate
    unions: Float[Tensor, "g h w"]
    """Each component's self-similarity A_c."""
    nearness: Float[Tensor, "g p"]
    """A_c at each point, divided by its distance to the component."""
    consistent: Bool[Tensor, " p"]
    selected: Int64[Tensor, " p"]
    """1: positive and consistent; 2: one of the two; 0: neither."""
    chosen: Bool[Tensor, " p"]
    """Points whose masks make the prediction."""
    mask: Bool[Tensor, "rows columns"]


def mask_components(
    masks: Bool[Tensor, "p rows columns"],
    points: Int64[Tensor, "p 2"],
    grid: Sequence[int],
    connection: Connection = "weak",
) -> Int64[Tensor, " p"]:
    """Components of the graph as scipy numbers them: weak ones in order of their first point.

    Args:
        points: (column, row) on the grid; masks are brought there by nearest neighbour.
    """
    cells = nearest_mask(masks, grid)
    covers = cells[:, points[:, 1], points[:, 0]].cpu().numpy()  # from mask to point
    _, labels = connected_components(covers, directed=True, connection=connection)
    return torch.from_numpy(labels.astype(np.int64)).to(masks.device)


@in_fp32
def polarity(
    mean: Float[Tensor, "h w"], negative: Float[Tensor, "h w"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "h w"]]:
    """t, and R = 1 where A² > t A-."""
    threshold = (mean.max() + mean.min()) / 2
    return threshold, (mean.square() > threshold * negative).float()


@in_fp32
def positive_gating(
    masks: Float[Tensor, "p h w"],
    components: Int64[Tensor, " p"],
    mean: Float[Tensor, "h w"],
    negative: Float[Tensor, "h w"],
    gating: Gating = "growth",
) -> Gate:
    """Which masks gain more of the polarity's ones than of its zeros.

    In each component masks are taken in falling order of their mean of A² - t A-; what a mask adds
    to those accepted before decides. A component's score is what the mask looked at *last* would
    have gained, not its union: the released loop overwrites its variables.

    Args:
        masks: on the grid, soft.
        gating: "union": a component's masks are judged together, which the paper's own table finds
            better for whole objects and worse for parts.
    """
    threshold, ones = polarity(mean, negative)
    order_by = _mask_means(masks, mean.square() - threshold * negative)
    positive = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    scores = mean.new_zeros(len(masks))
    for component in range(int(components.max()) + 1 if len(masks) else 0):
        members = (components == component).nonzero()[:, 0]
        if gating == "union":
            gain = _gain(ones, masks[members].amax(0))
            accepted = members[: len(members) if gain > 0 else 0]
        else:
            order = members[order_by[members].argsort(descending=True, stable=True)]
            accepted, gain = _grow(masks, order, ones)
        positive[accepted] = True
        scores[members] = gain
    return Gate(threshold, ones, positive, scores)


def _grow(masks: Tensor, order: Tensor, ones: Tensor) -> tuple[Tensor, Tensor]:
    """Masks that are accepted in this order, and the last one's gain."""
    grown, accepted = torch.zeros_like(ones), []
    for number in order:
        new = masks[number] * (1 - grown)
        gain = _gain(ones, new)
        if gain > 0:
            grown = grown + new
            accepted.append(number)
    return order.new_tensor([int(number) for number in accepted]), gain


def _gain(ones: Tensor, new: Tensor) -> Tensor:
    return (ones * new).sum() - ((1 - ones) * new).sum()


def _mask_means(masks: Tensor, values: Tensor) -> Tensor:
    return (masks * values).sum((1, 2)) / (masks.sum((1, 2)) + 1e-6)


@in_fp32
def self_similarity(
    query: Float[Tensor, "c h w"], unions: Float[Tensor, "g h w"]
) -> Float[Tensor, "g h w"]:
    """A_c: the mean map of the query with itself as its support, under each component's union."""
    cosine = cosines(query[None], query)
    maps = [weighed_maps(cosine, union[None])[1] for union in unions]
    return torch.stack(maps).view(len(unions), *query.shape[1:])


@in_fp32
def point_nearness(
    maps: Float[Tensor, "g h w"], points: Int64[Tensor, "p 2"], components: Int64[Tensor, " p"]
) -> Float[Tensor, "g p"]:
    """A_c at each point, divided by the distance in cells to the nearest point of c; a distance of
    0 counts as 1, so that neighbours of a component are as near as its own points."""
    values = maps[:, points[:, 1], points[:, 0]]
    places = points.to(maps.dtype)
    squares = (places[:, None] - places[None]).square().sum(-1)
    distances = torch.stack([squares[:, components == c].amin(1).sqrt() for c in range(len(maps))])
    return values / torch.where(distances == 0, 1.0, distances)


def overshooting_gating(
    nearness: Float[Tensor, "g p"], components: Int64[Tensor, " p"], majority: bool = True
) -> Bool[Tensor, " p"]:
    """Points whose own component is the one they resemble most (ties to the lower number); where
    fewer than half of a component's points are, none is.

    Args:
        majority: False leaves out that rule, which the paper does not mention.
    """
    own = nearness.argmax(0) == components
    if not majority:
        return own
    member = F.one_hot(components, len(nearness)).float()  # (P, G)
    share = (member.T @ own.float()) / member.sum(0)
    return own & (share >= 0.5)[components]


def choose_masks(selected: Int64[Tensor, " p"], scores: Float[Tensor, " p"]) -> Bool[Tensor, " p"]:
    """The masks of label 1; where there is none the single one of the best score, and scores of
    points without label 2 are 0, so that a mask of label 0 wins where all others are negative."""
    if (selected == 1).any():
        return selected == 1
    chosen = torch.zeros_like(selected, dtype=torch.bool)
    chosen[torch.where(selected == 2, scores, 0.0).argmax()] = True
    return chosen


def select_masks(
    masks: Bool[Tensor, "p rows columns"],
    points: Int64[Tensor, "p 2"],
    query: Float[Tensor, "c h w"],
    mean: Float[Tensor, "h w"],
    negative: Float[Tensor, "h w"],
    connection: Connection = "weak",
    gating: Gating = "growth",
    overshooting: bool = True,
) -> Selection:
    """Steps 6 to 11: from one mask a point to the union of those that are the object.

    Args:
        masks: in order of the points; at least one.
        points: (column, row) on the grid.
        query: features, as the maps were made of.
        overshooting: False: every point counts as consistent.
    """
    grid = mean.shape
    labels = mask_components(masks, points, grid, connection)
    gate = positive_gating(_small(masks, grid), labels, mean, negative, gating)
    count = int(labels.max()) + 1
    joined = torch.stack([masks[labels == c].any(0) for c in range(count)])
    unions = self_similarity(query, _small(joined, grid))
    nearness = point_nearness(unions, points, labels)
    consistent = overshooting_gating(nearness, labels)
    consistent = consistent if overshooting else torch.ones_like(consistent)
    agreed = gate.positive.long() + consistent.long()
    selected = torch.where(agreed == 2, 1, torch.where(agreed == 1, 2, 0))
    chosen = choose_masks(selected, gate.scores)
    mask = masks[chosen].any(0)
    return Selection(labels, gate, unions, nearness, consistent, selected, chosen, mask)


def _small(masks: Tensor, grid: Sequence[int]) -> Tensor:
    return soft_mask(masks, grid, align_corners=False)
