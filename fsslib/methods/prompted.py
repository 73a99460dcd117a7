"""Points as prompts: PerSAM's and Matcher's matching, and the masks of their points.

Both papers go on with SAM in ways of their own (PerSAM refines its mask with boxes, Matcher scores
random subsets of points by an Earth mover's distance); here a mask generator draws one mask a
point, and their union is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from fsslib.encoders.grid import GridEncoder
from fsslib.methods.base import METHODS
from fsslib.methods.grid_method import Cells, GridConfig, GridMethod, OneAnswer, binary
from fsslib.methods.mask_makers import MaskMaker
from fsslib.priors import prompts
from fsslib.priors.grid_masks import touched_mask


@dataclass(frozen=True)
class MatcherConfig(GridConfig):
    """Matcher's features: DINOv2's at 518 pixels."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        return {"official": {"size": 518}, "scenes": {}}


@dataclass(frozen=True)
class PerSAMConfig(GridConfig):
    """PerSAM's features: SAM's own at 1024 pixels."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        return {"official": {"size": 1024}, "scenes": {}}


class Prompted(GridMethod):
    """Base class: points in the query picture, and the union of their masks. Binary."""

    parts: ClassVar = {"encoder": GridEncoder, "masks": MaskMaker}
    frozen = ("encoder", "masks")

    def __init__(
        self, encoder: GridEncoder, masks: MaskMaker, config: GridConfig | None = None
    ) -> None:
        super().__init__(encoder, config)
        self.masks = masks

    def drawn(self, cells: Cells, points: Int64[Tensor, "p 2"]) -> Tensor:
        """The masks of points, (p,H,W); none for no points."""
        if not len(points):
            return torch.zeros(0, *cells.image.shape[-2:], dtype=torch.bool, device=points.device)
        return self.masks(cells.image, cells.query)(points)


def _marked(points: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    marks = like.new_zeros(size)
    marks[points[:, 1], points[:, 0]] = 1
    return marks


def _answer(mask: Tensor, similarity: Float[Tensor, "h w"]) -> Tensor:
    """Logits: positive in the mask, and more so where the picture resembles the object."""
    return binary(torch.where(mask, 1 + similarity.clamp_min(-0.99), -1.0))


@METHODS.register("matcher")
class Matcher(Prompted):
    """Points by assignment forward and back. K-shot: the cells of all shots in one list.

    Maps: `similarity` (B,1,H,W), each query cell's best cosine with an object cell; `points`.
    """

    config_class = MatcherConfig
    after_norm = False

    def answer(self, cells: Cells) -> OneAnswer:
        size = tuple(cells.image.shape[-2:])
        masks = touched_mask(cells.masks[0] == 1, cells.grid)
        if not masks.any():
            nothing = cells.query.new_zeros(1, *size)
            return OneAnswer(binary(nothing[0] - 1), {"similarity": nothing, "points": nothing})
        matching = prompts.match_cells_both_ways(cells.support[0], cells.query, masks)
        points = prompts.centre_pixels(matching.cells, cells.grid, size)
        best = matching.similarity[masks.flatten()].amax(0).view(cells.grid)
        similarity = F.interpolate(best[None, None], size)[0, 0]
        mask = self.drawn(cells, points).any(0)
        maps = {"similarity": similarity, "points": _marked(points, size, similarity)}
        return OneAnswer(_answer(mask, similarity), {k: v[None] for k, v in maps.items()})


@METHODS.register("persam")
class PerSAM(Prompted):
    """One positive and one negative point; the mask of the first, without the second's. Of several
    shots the map is the mean.

    Maps (B,1,H,W): `similarity`; `points`, the positive one, and `negative_points`.
    """

    config_class = PerSAMConfig

    def answer(self, cells: Cells) -> OneAnswer:
        size = tuple(cells.image.shape[-2:])
        maps = [
            prompts.persam_map(support, cells.query, mask == 1, size)
            for support, mask in zip(cells.support[0], cells.masks[0], strict=True)
            if (mask == 1).any()
        ]
        similarity = torch.stack(maps).mean(0) if maps else cells.query.new_zeros(size)
        positive, negative = prompts.select_points(similarity)
        drawn = self.drawn(cells, torch.cat([positive, negative]))
        apart = not drawn[0][negative[0, 1], negative[0, 0]]
        mask = drawn[0] & ~drawn[1] if apart and maps else torch.zeros_like(drawn[0])
        shown = {
            "similarity": similarity,
            "points": _marked(positive, size, similarity),
            "negative_points": _marked(negative, size, similarity),
        }
        return OneAnswer(_answer(mask, similarity), {k: v[None] for k, v in shown.items()})
