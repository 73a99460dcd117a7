"""Single functions beside their released code: the cosine prior and ASGNet's clustering."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from clones import imported, on_cpu
from pairs import Pair
from torch import Tensor

from fsslib.layers.clustering import cluster
from fsslib.priors.similarity import similarity_maps

COVERAGE = 0.24


def cosine_prior(clone: Path, size: int) -> Iterator[Pair]:
    """The best cosine of every cell, on 60x60x2048, by HDMNet's function."""
    (module,) = imported(clone, "model.HDMNet")
    for shot in (1, 5):
        generator = torch.Generator().manual_seed(0)
        query = torch.randn(1, 2048, 60, 60, generator=generator)
        supports = torch.randn(1, shot, 2048, 60, 60, generator=generator)
        masks = _centre(60).expand(1, shot, 60, 60)

        def official(query=query, supports=supports, masks=masks, shot=shot) -> Tensor:
            each = [module.get_similarity(query, supports[:, k], masks[:, k]) for k in range(shot)]
            return torch.cat(each, 1)

        ours = torch.no_grad()(partial(similarity_maps, query, supports, masks))
        yield Pair(f"max-cosine prior, {shot}-shot, 60x60x2048", ours, torch.no_grad()(official))


def clustering(clone: Path, size: int) -> Iterator[Pair]:
    """50x50x256, five seeds, ten rounds."""
    (module,) = imported(clone, "model.asgnet")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 256, 50, 50, generator=generator)
    mask = _centre(50)
    seeds = torch.tensor([[25, 25], [15, 15], [15, 34], [34, 15], [34, 34]])
    chosen = features[0][:, seeds[:, 0], seeds[:, 1]]
    begin = torch.cat([chosen, seeds.T.float()])

    @torch.no_grad()
    def official() -> Tensor:
        with on_cpu():
            return module.Model.sp_center_iter(None, features[0], mask, begin, 10)

    def ours() -> Tensor:
        return cluster(features, mask, seeds[None], 10)[0].T

    yield Pair("ASGNet clustering, 50x50x256, 5 seeds, 10 rounds", ours, official)


def _centre(side: int) -> Tensor:
    """A square in the middle that covers `COVERAGE`."""
    mask, length = torch.zeros(1, side, side), round(COVERAGE**0.5 * side)
    begin = (side - length) // 2
    mask[:, begin : begin + length, begin : begin + length] = 1
    return mask
