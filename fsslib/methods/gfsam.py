"""GF-SAM: positive against negative maps, points, a graph of masks (NeurIPS 2024, 2410.06964).

Steps in `priors/gfsam.py` and `mask_graph.py`. The masks of points come from SAM or a stand-in
(`mask_makers.py`); `gfsam_maps` stops before them and needs none. Pictures and masks have the
query's own size here, where the released code works at 1024 x 1024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from fsslib.encoders.grid import GridEncoder
from fsslib.methods.base import METHODS
from fsslib.methods.grid_method import Cells, GridConfig, GridMethod, OneAnswer, binary, enlarge
from fsslib.methods.mask_makers import MaskMaker
from fsslib.priors import gfsam, mask_graph
from fsslib.priors.gfsam import PositiveNegative
from fsslib.priors.grid_masks import centre_square, soft_mask
from fsslib.priors.mask_graph import Connection, Gating, Selection
from fsslib.settings import Count


@dataclass(frozen=True)
class GFSAMMapsConfig(GridConfig):
    """How GF-SAM's maps are made."""

    channel_norm: bool = True
    """Each channel divided by its norm over a picture's cells before cosines are taken, as the
    released code does and the paper's Eq. 1 does not."""
    relu: bool = False
    """Cosines below 0 count as 0: Eq. 1, not the code."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`official`: the released code. `paper`: Eq. 1. `scenes`: chosen on base classes of
        Scenes-10i with `scenes-clip-vit`."""
        paper = {"size": 518, "channel_norm": False, "relu": True}
        return {"official": {"size": 518}, "paper": paper, "scenes": {}}


@dataclass(frozen=True)
class GFSAMConfig(GFSAMMapsConfig):
    """And how points become a mask."""

    most_points: Count = gfsam.MOST_POINTS
    """Not in the paper."""
    connection: Connection = "weak"
    """Components of the graph of masks."""
    gating: Gating = "growth"
    """Whether a component's masks are judged one after the other or together (the paper's table
    15: better for whole objects, worse for parts)."""
    overshooting: bool = True
    """Whether points are asked which component they resemble."""


class GridMaps(NamedTuple):
    """Features and maps of one episode."""

    query: Tensor
    """(c,h,w), as they are compared."""
    maps: PositiveNegative

    def named(self) -> dict[str, Tensor]:
        """(1,h,w) each."""
        return {name: value[None] for name, value in self.maps._asdict().items()}


class ReadsMaps(GridMethod):
    """What both methods do first."""

    config_class = GFSAMMapsConfig
    after_norm = False

    def grid_maps(self, cells: Cells) -> GridMaps:
        """Steps 1 to 3. An empty support mask becomes a square in the picture's middle."""
        query, support = cells.query, cells.support[0]
        if self.config.channel_norm:
            query, support = gfsam.channel_norm(query), gfsam.channel_norm(support)
        masks = torch.stack([centre_square((mask == 1).byte()) for mask in cells.masks[0]])
        inside, outside = soft_mask(masks, cells.grid), soft_mask(1 - masks, cells.grid)
        made = gfsam.positive_negative_maps(support, query, inside, outside, self.config.relu)
        return GridMaps(query, made)


@METHODS.register("gfsam_maps")
class GFSAMMaps(ReadsMaps):
    """The object is where its map is above its background's: two maps, no mask generator. Binary,
    K-shot by means of maps. Maps (B,1,h,w): `maximum`, `mean`, `negative`, `positive`, `contrast`,
    `filtered`."""

    on_host = False

    def answer(self, cells: Cells) -> OneAnswer:
        maps = self.grid_maps(cells)
        margin = enlarge(maps.maps.contrast, tuple(cells.image.shape[-2:]))
        return OneAnswer(binary(margin), maps.named())


@METHODS.register("gfsam")
class GFSAM(ReadsMaps):
    """The whole of it. Binary, K-shot by means of maps; several classes are told apart by the mean
    of the positive map over a pixel's mask.

    Maps: those of `gfsam_maps`; on the query's grid `points` (1 where there is one), `components`
    (their numbers, from 1), `labels` (1: positive and consistent, 2: one of the two, 3: neither);
    `probability` at the picture's size.
    """

    config_class = GFSAMConfig
    parts: ClassVar = {"encoder": GridEncoder, "masks": MaskMaker}
    frozen = ("encoder", "masks")

    def __init__(
        self, encoder: GridEncoder, masks: MaskMaker, config: GFSAMConfig | None = None
    ) -> None:
        super().__init__(encoder, config)
        self.masks = masks

    def answer(self, cells: Cells) -> OneAnswer:
        maps = self.grid_maps(cells)
        points = gfsam.point_cells(maps.maps.filtered, self.config.most_points)
        size = tuple(cells.image.shape[-2:])
        nothing = maps.query.new_zeros(size)
        mask, probability, selection = nothing > 0, nothing, None
        if len(points):
            pixels = gfsam.point_pixels(points, cells.grid, size)
            masks = self.masks(cells.image, maps.query)(pixels)
            selection = self.select(masks, points, maps)
            mask = selection.mask
            probability = gfsam.probability(maps.maps.mean, masks[selection.chosen])
        margin = torch.where(mask, (1 + probability).clamp_min(1e-6), -1.0)
        shown = maps.named() | _shown(points, selection, nothing.new_zeros(cells.grid))
        return OneAnswer(binary(margin), shown | {"probability": probability[None]})

    def select(self, masks: Tensor, points: Tensor, maps: GridMaps) -> Selection:
        """Steps 6 to 11, of one mask a point."""
        config, made = self.config, maps.maps
        return mask_graph.select_masks(
            masks,
            points,
            maps.query,
            made.mean,
            made.negative,
            config.connection,
            config.gating,
            config.overshooting,
        )


def _shown(points: Tensor, selection: Selection | None, zeros: Tensor) -> dict[str, Tensor]:
    maps = {name: zeros.clone() for name in ("points", "components", "labels")}
    if selection is not None:
        places = points[:, 1], points[:, 0]
        maps["points"][places] = 1
        maps["components"][places] = 1.0 + selection.components
        neither = torch.where(selection.selected == 0, 3, selection.selected)
        maps["labels"][places] = neither.to(zeros.dtype)
    return {name: value[None] for name, value in maps.items()}
