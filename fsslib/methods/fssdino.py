"""FSSDINO: a few prototypes and a Gram map of each class, on frozen cells (arXiv 2602.07550).

Steps in `priors/fssdino.py`. The released protocol differs from this package's: it pads pictures to
512 pixels after normalising, scores the padded square, counts the fold's other classes as
background and drops small objects from the labels; here all that is the `Protocol`'s. In an
`Episode` a support shows its own class alone (others are 255), where the released code also pools
other classes of the episode that happen to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fsslib.methods.base import METHODS
from fsslib.methods.grid_method import Cells, GridConfig, GridMethod, OneAnswer
from fsslib.priors import fssdino
from fsslib.priors.fssdino import ClassMaps, EmptyClass, Query
from fsslib.settings import Count, Natural

NEVER = -100.0
"""Score of a class without a cell, in place of minus infinity, which becomes NaN, and wins, where
logits are resized. True scores lie in -1..1."""


@dataclass(frozen=True)
class FSSDINOConfig(GridConfig):
    """Numbers of FSSDINO."""

    prototypes: Count = 5
    """kappa. The code's other defaults, 20 and 10, serve no row of the paper's table, but 10 is
    what its layer study ran with."""
    gram: bool = True
    """Whether the Gram map is one of the maps."""
    gram_query: Query = "raw"
    """Query features in the Gram energy: as they are, or of unit length."""
    empty: EmptyClass = "largest"
    """A class without a cell on the grid: the cell that holds most of it, or never."""
    seed: Natural = 0
    """Of the rows that k-means starts from."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`official`: the released code; `paper`: the same numbers. `scenes`: chosen on base
        classes of Scenes-10i with `scenes-clip-vit`."""
        official = {"size": 512, "empty": "never"}
        return {"official": official, "paper": official, "scenes": {"prototypes": 1}}


@METHODS.register("fssdino")
class FSSDINO(GridMethod):
    """N-way and K-shot as they are. Maps: `scores` (B,1+N,H,W); for every class `best` and `mean`
    of its maps and its Gram map, `gram` (B,1+N,h,w), zeros where a class has none."""

    config_class = FSSDINOConfig
    after_norm = False
    binary = False

    def answer(self, cells: Cells) -> OneAnswer:
        size = tuple(cells.image.shape[-2:])
        classes = self.class_maps(cells)
        scores = fssdino.class_scores(classes, size, cells.query.device).clamp_min(NEVER)
        maps = {"scores": scores} | self._shown(classes, cells)
        return OneAnswer(scores, maps)

    def class_maps(self, cells: Cells) -> list[ClassMaps | None]:
        """Of background and N classes; None for one without a cell."""
        config = self.config
        support = cells.support.flatten(0, 1)
        pools = fssdino.class_pools(support, one_hot(cells.masks), config.empty)
        options = (config.prototypes, config.gram, config.gram_query)
        return [
            fssdino.class_maps(cells.query, pool, *options, seed=config.seed) if len(pool) else None
            for pool in pools
        ]

    def _shown(self, classes: list[ClassMaps | None], cells: Cells) -> dict[str, Tensor]:
        zeros = cells.query.new_zeros(cells.grid)
        best = [zeros if each is None else each.all.amax(0) for each in classes]
        mean = [zeros if each is None else each.all.mean(0) for each in classes]
        gram = [zeros if each is None or each.gram is None else each.gram for each in classes]
        return {
            "best": torch.stack(best),
            "mean": torch.stack(mean),
            "gram": torch.stack(gram),
        }


def one_hot(masks: Tensor) -> Tensor:
    """Masks (N,K,h,w) of an episode as (N·K, 1+N, h, w): background is what is 0, class n what is 1
    in a support of n; pixels of 255 are in none."""
    way, shot = masks.shape[:2]
    chosen = masks.new_zeros(way, shot, 1 + way, *masks.shape[2:])
    chosen[:, :, 0] = masks == 0
    for number in range(way):
        chosen[number, :, 1 + number] = masks[number] == 1
    return chosen.flatten(0, 1)
