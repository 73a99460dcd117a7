"""Several prototypes of one object: superpixel-guided clustering.

ASGNet (Li et al., CVPR 2021) puts seeds far from the mask's border and lets each gather what is
near and looks alike; LFSS (Wang et al., ICASSP 2024, Sec. 3.4, "distributed prototypes") moves the
seeds to where the *query* is most alike first. Nothing is learned. Eq. 10 of LFSS is read as in
ASGNet's code, pixel against centre.

The distance has no temperature, so that the result depends on how large features are: shrunk to a
twentieth, all prototypes become one and the same. Never normalise what goes in here.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.layers.distance import NOWHERE, to_background
from fsslib.layers.prototype import masked_average
from fsslib.priors.masked_cells import masked_cells, take_cells
from fsslib.priors.similarity import unit

Seeds = Int64[Tensor, "b n 2"]
ITERATIONS = (10, 5)
"""Of the clustering, in training and in evaluation (ASGNet's code)."""
ABSENT = -1
"""Row and column of a seed that is not there."""


def seed_count(area: float, area_per_seed: float = 100, most: int = 5) -> int:
    """How many seeds a mask of `area` cells gets: one for each `area_per_seed`, halves to even.
    Fewer than two are none at all: a single prototype needs no clustering."""
    count = min(round(area / area_per_seed), most)
    return count if count > 1 else 0


def place_seeds(
    masks: Shaped[Tensor, "b h w"],
    most: int = 5,
    area_per_seed: float = 100,
    official_border: bool = False,
) -> Seeds:
    """Seeds inside each mask, as far as can be from its border and from each other (LFSS Eq. 6).

    Args:
        masks: object where exactly 1; soft borders are not.
        most: n, seeds at most; rows that are not needed are (-1, -1).
        area_per_seed: in cells.
        official_border: as in ASGNet's code, what lies beyond the mask's bounding box is not
            background. Then masks get seeds on their edge, and a mask that fills its box has its
            first one in the bottom right corner.
    """
    inside = masks == 1
    height, width = inside.shape[1:]
    cells = torch.arange(height * width, device=masks.device)
    places = torch.stack([cells // width, cells % width], -1)  # (h w, 2)
    squares = to_background(inside, official_border).where(inside, -1).flatten(1)
    counts = _seed_counts(height * width, area_per_seed, most)
    counts = counts.to(masks.device, non_blocking=True)[inside.flatten(1).sum(1)]
    seeds = []
    for number in range(most):
        # Where there is no background at all, the last cell is taken for the farthest.
        ranked = squares + cells.where(squares == NOWHERE, 0)
        seed = places[ranked.argmax(1)]  # (b, 2)
        to_seed = (places - seed[:, None]).square().sum(-1)
        squares = torch.minimum(squares, to_seed)  # from here on it is no part of the mask
        seeds.append(seed.where((counts > number)[:, None], ABSENT))
    return torch.stack(seeds, 1)


@lru_cache
def _seed_counts(cells: int, area_per_seed: float, most: int) -> Int64[Tensor, " areas"]:
    """`seed_count` of every area up to `cells`."""
    return torch.tensor([seed_count(area, area_per_seed, most) for area in range(cells + 1)])


@in_fp32
def rectify_seeds(seeds: Seeds, similarity: Float[Tensor, "b h w"], window: int = 3) -> Seeds:
    """Move each seed to the best cell of the window around it (LFSS Eqs. 7 and 8).

    Cells where another seed sits are left out; the first of equals wins.

    Args:
        similarity: of the support's cells with the query's prototype.
        window: side n in cells, odd; 1 moves nothing.
    """
    if window % 2 != 1:
        raise ValueError(f"window={window}: expected an odd number of cells")
    (height, width), reach = similarity.shape[1:], window // 2
    steps = torch.arange(-reach, reach + 1, device=seeds.device)
    offsets = torch.cartesian_prod(steps, steps).view(-1, 2)  # row by row
    moved = seeds.clone()
    for number in range(seeds.shape[1]):
        cells = moved[:, number, None] + offsets  # (b, window^2, 2)
        y, x = cells.unbind(-1)
        outside = (y < 0) | (x < 0) | (y >= height) | (x >= width)
        others = torch.cat([moved[:, :number], moved[:, number + 1 :]], 1)
        occupied = (cells[:, :, None] == others[:, None]).all(-1).any(-1)
        flat = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        scores = similarity.flatten(1).gather(1, flat).masked_fill(outside | occupied, -torch.inf)
        best = cells.take_along_dim(scores.argmax(1)[:, None, None], 1)[:, 0]
        present = (seeds[:, number] != ABSENT).all(-1, keepdim=True)
        moved[:, number] = torch.where(present, best, seeds[:, number])
    return moved


@torch.no_grad()
@in_fp32
def cluster(
    features: Float[Tensor, "b c h w"],
    masks: Shaped[Tensor, "b h w"],
    seeds: Seeds,
    iterations: int = ITERATIONS[0],
    spacing: float = 10.0,
) -> Float[Tensor, "b n c"]:
    """Mean features of soft clusters around the seeds (LFSS Eqs. 9 to 11).

    Each cell of the mask counts with exp(-Q), Q the distance to the centre in features and, in
    units of `spacing` cells, in place. Centres that have no seed are zero. In fp32, also under
    autocast.

    Args:
        features: not normalised (see the module's text).
        masks: as for `place_seeds`.
    """
    height, width = features.shape[-2:]
    rows = torch.arange(height, device=features.device)
    columns = torch.arange(width, device=features.device)
    places = torch.cartesian_prod(rows, columns).to(features) / spacing  # (h w, 2)
    cells = torch.cat([features.flatten(2).mT, places.expand(len(features), -1, -1)], -1)
    present = (seeds != ABSENT).all(-1)  # (b, n)
    flat = (seeds[..., 0] * width + seeds[..., 1]).clamp(min=0)
    centres = cells.gather(1, flat[..., None].expand(-1, -1, cells.shape[-1]))
    inside = (masks == 1).flatten(1)  # (b, h w)
    if (places := masked_cells(inside)) is not None:  # no other cell counts
        cells, inside = take_cells(cells, places), inside.gather(1, places)
    outside = ~inside[..., None]
    for _ in range(iterations):
        # The sum of squares itself: its expansion into products loses small distances.
        apart = torch.cdist(cells, centres, compute_mode="donot_use_mm_for_euclid_dist")
        weights = (-apart).masked_fill(outside, -1e9).softmax(1)  # over cells, (b, h w, n)
        centres = weights.mT @ cells
    return centres[..., :-2] * present[..., None]


@torch.no_grad()
def distributed_prototypes(
    features: Float[Tensor, "b d h w"],
    masks: Float[Tensor, "b h w"],
    seeds: Seeds,
    iterations: int,
    spacing: float = 10.0,
) -> Float[Tensor, "b n d"]:
    """The clusters' means; the masked average, alone, for objects too small to have seeds."""
    centres = cluster(features, masks, seeds, iterations, spacing)
    single = masked_average(features, masks[:, None]).flatten(1)  # (b, d)
    small = (seeds[:, 0] == ABSENT).all(-1)[:, None]
    first = torch.where(small, single, centres[:, 0])
    return torch.cat([first[:, None], centres[:, 1:]], 1)


@in_fp32
def association(
    query: Float[Tensor, "b d h w"], prototypes: Float[Tensor, "b n d"]
) -> Float[Tensor, "b n h w"]:
    """Cosine of every query cell with every prototype; zero prototypes have cosine 0.

    LFSS's association map (Eq. 12) and ASGNet's probability map are its sum over n; LFSS prints
    support features there, which would not lie on the query's grid.
    """
    return torch.einsum("bdhw,bnd->bnhw", unit(query), unit(prototypes, -1))
