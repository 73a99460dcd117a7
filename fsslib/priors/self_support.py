"""Refining masks by what they themselves say (LFSS, Wang et al. 2024, Eqs. 2 to 5).

One foreground prototype for both pictures, one background prototype *for every cell*. Printed as
it is, Eq. 4 weighs with a softmax of raw dot products, which picks a single cell: the cell itself
where features have equal lengths (it can then never become foreground), else the longest of those
that point its way, or elsewhere. SSP (Fan et al., ECCV 2022), whose words LFSS borrows, attends
with cosines; that reading is the default, `literal` the other.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.similarity import CHUNK_ELEMENTS, cosine_map, unit

Variant = Literal["ssp", "literal"]
Features = Float[Tensor, "b c h w"]
Mask = Float[Tensor, "b h w"]
TEMPERATURE = 2.0
"""Of the attention over the background, as in SSP's code: a factor on the cosine."""
AREA_EPS = 1e-5


class Refined(NamedTuple):
    """A refined mask and the two maps that were compared for it.

    Attributes:
        mask: 0 or 1.
        foreground: cosine with the foreground prototype.
        background: cosine of each cell with its own background prototype.
    """

    mask: Mask
    foreground: Mask
    background: Mask


@in_fp32
def prototype(features: Features, mask: Mask) -> Float[Tensor, "b c"]:
    """Mean feature inside the mask (Eq. 2); zero where it is empty."""
    total = torch.einsum("bchw,bhw->bc", features, mask)
    return total / (mask.sum((-2, -1)) + AREA_EPS)[:, None]


def confident(
    share: Float[Tensor, "b h w"], threshold: float, fewest: int = 12
) -> Bool[Tensor, "b h w"]:
    """Cells that are sure enough to speak for their class, as in SSP's code (0.7 for foreground,
    0.6 for background): above the threshold, or where none is, the `fewest` highest ones.

    Args:
        share: the class's probability in each cell.
    """
    flat = share.flatten(1)
    above = flat > threshold
    best = torch.zeros_like(above).scatter(1, flat.topk(min(fewest, flat.shape[1])).indices, True)
    return torch.where(above.any(1, keepdim=True), above, best).view_as(share)


@in_fp32
def background_prototypes(
    features: Features,
    chosen: Bool[Tensor, "b h w"],
    variant: Variant = "ssp",
    temperature: float = TEMPERATURE,
) -> Features:
    """For every cell, the mean of the `chosen` ones, each weighed by how much it is like the cell.

    Args:
        chosen: the background; all cells of the picture get zeros where there is none.
        variant: "ssp" weighs with cosines; "literal" is Eq. 4 as printed, where cells that are not
            chosen are zero vectors, as seeing ones (they get a plain mean) and as seen ones.

    Memory: at most `CHUNK_ELEMENTS` weights at once.
    """
    flat, mask = features.flatten(2), chosen.flatten(1)
    if variant == "literal":
        values = flat * mask[:, None]
        queries, keys = values, flat
    else:
        values, directions = flat, unit(flat)
        queries, keys = temperature * directions, directions
    prototypes = []
    for some in queries.split(max(1, CHUNK_ELEMENTS // mask.numel()), 2):
        logits = torch.einsum("bci,bcj->bij", some, keys)
        if variant == "ssp":
            logits = logits.masked_fill(~mask[:, None], -torch.inf)
        weights = logits.softmax(-1).nan_to_num(0)
        prototypes.append(torch.einsum("bij,bcj->bci", weights, values))
    return torch.cat(prototypes, 2).view_as(features)


@in_fp32
def refine_mask(
    features: Features,
    mask: Mask,
    foreground: Float[Tensor, "b c"],
    variant: Variant = "ssp",
    global_weight: float = 0.0,
) -> Refined:
    """A cell is foreground if it is more like the prototype than like its own background (Eq. 5).

    A result without foreground is thrown away, and so is one without background to compare with:
    the mask stays as it was.

    Args:
        features: frozen ones, on the mask's grid.
        foreground: a prototype; of this picture, of the other one, or a mixture (Eq. 3).
        global_weight: share of the plain background mean in the background prototypes (SSP: 0.3).
            A prototype for every cell is biased towards background.
    """
    outside = mask == 0
    local = background_prototypes(features, outside, variant)
    whole = prototype(features, outside.to(features))[:, :, None, None]
    mixed = global_weight * whole + (1 - global_weight) * local
    to_background = (unit(features) * unit(mixed)).sum(1)
    to_foreground = cosine_map(features, foreground)
    new = (to_foreground > to_background).to(mask)
    keep = (new.sum((-2, -1)) == 0) | ~outside.flatten(1).any(1)
    return Refined(torch.where(keep[:, None, None], mask, new), to_foreground, to_background)


def refine_pair(
    support: Float[Tensor, "bk c h w"],
    support_mask: Float[Tensor, "b k h w"],
    query: Features,
    query_mask: Mask,
    alpha: float = 0.5,
    variant: Variant = "ssp",
    global_weight: float = 0.0,
) -> tuple[Refined, Refined]:
    """Refine the masks of K supports and of their query with a common foreground (Eqs. 2 to 5).

    Args:
        support: (b k) pictures, episode by episode.
        alpha: share of the support in the foreground prototype (Eq. 3). Each support is mixed with
            the query, the query with the supports' mean.

    Returns:
        Of the supports, (b k, h, w), and of the query.
    """
    shots = support_mask.shape[1]
    flat = support_mask.flatten(0, 1)
    of_support, of_query = prototype(support, flat), prototype(query, query_mask)
    mean = of_support.unflatten(0, (-1, shots)).mean(1)
    mixed = alpha * of_support + (1 - alpha) * of_query.repeat_interleave(shots, 0)
    both = alpha * mean + (1 - alpha) * of_query
    return (
        refine_mask(support, flat, mixed, variant, global_weight),
        refine_mask(query, query_mask, both, variant, global_weight),
    )
