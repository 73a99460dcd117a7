"""INSID3: candidates, clusters and a seed, without where a network says it is (arXiv 2603.28480).

Steps in `priors/positional_basis.py`, `insid3.py` and `agglomerative.py`. The paper's pipeline ends
in a CRF, which the released code has off by default and this package leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fsslib.encoders.grid import Blank
from fsslib.methods.base import METHODS
from fsslib.methods.grid_method import Cells, GridConfig, GridMethod, OneAnswer, binary, enlarge
from fsslib.priors import insid3
from fsslib.priors.agglomerative import agglomerate
from fsslib.priors.grid_masks import half_mask
from fsslib.priors.positional_basis import (
    PositionalBasis,
    debias,
    plain_features,
    positional_basis,
)
from fsslib.settings import Fraction, Natural


@dataclass(frozen=True)
class INSID3Config(GridConfig):
    """Numbers of INSID3; those of the released code, which suit DINOv3's ViT-L at 1024 pixels."""

    components: Natural = 500
    """s, directions of position that are taken out; 0: none. Must stay below the channels of the
    encoder and the cells of its grid."""
    share: Fraction | None = None
    """Of the blank image's variance, in place of `components`."""
    blank: Blank = "black"
    """What is shown to find them: the code's black, grey, or the paper's Gaussian noise."""
    forward: bool = True
    """Whether candidates must also resemble the prototype; the paper's are backward alone."""
    tau: Fraction = 0.6
    """Clusters are merged above this mean cosine."""
    alpha: Fraction = 0.2
    """Clusters above this score are kept."""
    area_weight: bool = True
    """Whether a cluster's score is weighted by its share of candidates; not so in the paper."""
    strict: bool = True
    """Kept above alpha; the paper: at alpha too."""
    edges: Literal["margin", "official"] = "official"
    """How cells become pixels: 0 or 1 enlarged and rounded, or each cell's score above alpha
    enlarged, which several classes can be compared by."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`official`: the released code. `paper`: where it says otherwise. `scenes`: chosen on base
        classes of Scenes-10i with `scenes-clip-vit`."""
        paper = {"blank": "noise", "forward": False, "area_weight": False, "strict": False}
        scenes = {"components": 4, "alpha": 0.1, "edges": "margin"}
        return {"official": {"size": 1024}, "paper": {"size": 1024, **paper}, "scenes": scenes}


@METHODS.register("insid3")
class INSID3(GridMethod):
    """Binary; K-shot by one prototype and by votes.

    Maps (B,1,h,w): `similarity` with the prototype, `forward`, `votes`, `backward`, `candidates`,
    `clusters` (their numbers), `seed`, `score` and `kept`.
    """

    config_class = INSID3Config

    def basis(self, sides: tuple[int, int]) -> PositionalBasis:
        """Of a blank picture of `sides` pixels, made once for an encoder's weights.

        Raises:
            ValueError: so many components that nothing would be left.
        """
        config = self.config

        def make() -> PositionalBasis:
            blank = self.encoder.blank(config.blank, sides, self.after_norm).float().cpu()
            return positional_basis(blank, config.components, config.share)

        settings = f"{config.blank}-{sides}-{config.components}-{config.share}"
        return self.encoder.while_unchanged(f"basis-{settings}", make)

    def answer(self, cells: Cells) -> OneAnswer:
        projector = self.basis(self._sides(cells)).projector
        masks = torch.stack([half_mask(mask == 1, cells.grid) for mask in cells.masks[0]])
        query, support = debias(cells.query, projector), debias(cells.support[0], projector)
        chosen = insid3.candidates(query, support, masks, self.config.forward)
        plain = plain_features(cells.query)
        clusters = agglomerate(plain, self.config.tau)
        merged = insid3.aggregate(
            plain,
            query,
            clusters,
            chosen.both & masks.any(),
            insid3.prototype(support, masks),
            self.config.alpha,
            self.config.area_weight,
            self.config.strict,
        )
        logits = binary(self._margin(merged, clusters, cells))
        return OneAnswer(logits, shown(chosen, merged, clusters))

    def _sides(self, cells: Cells) -> tuple[int, int]:
        fitted = self.encoder.fit(cells.image[None], self.config.size)
        return tuple(fitted.shape[-2:])

    def _margin(self, merged: insid3.Aggregation, clusters: Tensor, cells: Cells) -> Tensor:
        """Positive where a pixel is the object, and by how much."""
        config, size = self.config, tuple(cells.image.shape[-2:])
        margin = insid3.margin(merged, clusters, config.alpha, config.strict)
        full = enlarge(margin, size)
        if config.edges == "margin":
            return full
        square = max(self._sides(cells))
        mask = insid3.official_edges(merged.selected[clusters], square, size)
        return torch.where(mask, full.clamp_min(1e-6), full.clamp_max(0))


def shown(
    chosen: insid3.Candidates, merged: insid3.Aggregation, clusters: Tensor
) -> dict[str, Tensor]:
    """Every step's map, (1,h,w)."""
    seed = -1 if merged.seed is None else merged.seed
    maps = {
        "similarity": chosen.similarity,
        "forward": chosen.forward,
        "votes": chosen.votes,
        "backward": chosen.backward,
        "candidates": chosen.both,
        "clusters": clusters,
        "seed": clusters == seed,
        "score": merged.map(clusters),
        "kept": merged.selected[clusters],
    }
    return {name: value[None].float() for name, value in maps.items()}
