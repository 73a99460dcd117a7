"""The floor of the training-free methods: the nearest of two prototypes, on any encoder's cells.

PANet's decision rule (Wang et al., ICCV 2019) as in `baselines.py`, which reads a CNN's stages.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.layers.prototype import masked_average
from fsslib.methods.base import METHODS
from fsslib.methods.grid_method import Cells, GridMethod, OneAnswer, enlarge
from fsslib.priors.grid_masks import soft_mask
from fsslib.priors.similarity import cosine_map


@METHODS.register("grid_prototype")
class GridPrototype(GridMethod):
    """Nearest of the N + 1 mean features by cosine. Each shot is pooled, then averaged; background
    is what is 0 in all supports. Maps: `similarity` (B,1+N,h,w)."""

    binary = False
    on_host = False

    def answer(self, cells: Cells) -> OneAnswer:
        support, masks = cells.support.flatten(0, 1), cells.masks.flatten(0, 1)
        of_shots = self._prototypes(support, masks == 0), self._prototypes(support, masks == 1)
        shots = of_shots[1].unflatten(0, cells.masks.shape[:2])
        prototypes = torch.cat([of_shots[0].mean(0, keepdim=True), shots.mean(1)])
        repeated = cells.query.expand(len(prototypes), -1, -1, -1)
        similarity = cosine_map(repeated, prototypes)
        return OneAnswer(enlarge(similarity, cells.image.shape[-2:]), {"similarity": similarity})

    @staticmethod
    def _prototypes(support: Float[Tensor, "s c h w"], chosen: Tensor) -> Float[Tensor, "s c"]:
        return masked_average(support, soft_mask(chosen, support.shape[-2:])[:, None])[:, :, 0, 0]
