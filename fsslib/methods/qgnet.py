"""QGNet: few-shot segmentation with global and local contrastive learning (Liu, Wu, Ding, Liu, Lin,
Lin; arXiv:2108.05293, 2021).

PFENet, and a second map beside its prior mask. The prior mask (here the *guided* region map) says
where the query resembles the support's object; the *prior* region map says where the query as a
supervised backbone sees it resembles the query as an extractor sees it that was pretrained without
labels, by global and local contrast. The FEM reads both, of whatever polarity.

* The paper's Eqs. 8-12 compare raw features; the released code first projects both with a 3x3
  convolution each, learned by the segmentation loss (`projection`).
* The highest stage is read, as in the code; the paper does not say which.
* The code leaves BatchNorm of *both* backbones in training mode (`official_bn`), and runs at ten
  times the learning rate it states (recipe `official`).
* "Predetermined priors" are features of the same query picture; nothing is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.config import strict
from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.layers.resize import resize
from fsslib.methods.base import Prediction
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.priors.similarity import prior_region_map

Shown = Literal["own", "zero", "inverted", "scrambled"]


@dataclass(frozen=True)
class QGNetConfig(PFENetConfig):
    """PFENet's numbers, and what is done to the prior region map."""

    projection: Literal["conv3x3", "none"] = "conv3x3"
    """Learned projections of both features before they are compared, or none."""
    shown: Shown = "own"
    """What the FEM gets in place of the prior region map, for the study of its polarity: the map,
    zeros, one minus the map, or the map with its cells shuffled (always the same way)."""

    @classmethod
    def preset(cls, name: str, **changes: Any) -> QGNetConfig:
        """`paper`: Eqs. 8-12 as printed, at 473. `official`: as the code runs, with its projections
        and its BatchNorm. `fractions`: scales relative to the features (VGG, 321 and other sizes).
        `scenes`: the embedded benchmark."""
        own = {"projection": "none" if name == "paper" else "conv3x3"}
        base = vars(PFENetConfig.preset(name))
        return strict(cls, base | own | changes)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior != "own":
            raise ValueError(f"prior={self.prior!r}: QGNet has its own maps; use prior='own'")


class QGNet(PFENet):
    """QGNet over two frozen backbones.

    Maps besides PFENet's: `prior` (B,2,h,w) as the FEM reads them, the `guided_region` and the
    `prior_region` (B,1,h,w).

    Args:
        extractor: the prior extractor, any stage backbone; its pictures are normalised as the
            backbone's.
    """

    frozen = ("backbone", "extractor", "clip")
    scored_maps = ("prior_region", "guided_region")
    own_maps = 2

    def __init__(
        self,
        backbone: StageBackbone,
        extractor: StageBackbone,
        config: QGNetConfig | None = None,
    ) -> None:
        config = config or QGNetConfig()
        super().__init__(backbone, config)
        self.config: QGNetConfig = config
        extractor = extractor.copied(moving_statistics=True) if config.official_bn else extractor
        self.extractor = extractor
        if config.projection == "none":
            if backbone.channels[2] != extractor.channels[2]:
                raise ValueError(
                    f"projection='none': the backbone has {backbone.channels[2]} channels, the "
                    f"extractor {extractor.channels[2]}; use two of a kind, or 'conv3x3'"
                )
            self.project_bridge = self.project_prior = nn.Identity()
        else:
            dropout = config.reduce_dropout
            self.project_bridge = projection(backbone.channels[2], config.dim, dropout)
            self.project_prior = projection(extractor.channels[2], config.dim, dropout)

    def forward(self, episodes: Episode) -> Prediction:
        prediction = super().forward(episodes)
        guided, prior = prediction.maps["prior"].split(1, 1)
        prediction.maps.update(guided_region=guided, prior_region=prior)
        return prediction

    def own_prior(
        self, query: Tensor, stages: Stages, prior: Tensor, grid: tuple[int, int]
    ) -> Float[Tensor, "b 2 h w"]:
        """The guided and the prior region map."""
        with torch.no_grad():
            seen = self.extractor.stages(query).layer4
        region = prior_region_map(self.project_bridge(stages.layer4), self.project_prior(seen))
        return torch.cat([resize(prior, grid), resize(self._shown(region), grid)], 1)

    def _shown(self, region: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        if self.config.shown == "zero":
            return torch.zeros_like(region)
        if self.config.shown == "inverted":
            return 1 - region
        if self.config.shown == "scrambled":
            cells = region.flatten(2)
            order = torch.randperm(cells.shape[2], generator=torch.Generator().manual_seed(0))
            return cells[..., order.to(cells.device)].view_as(region)
        return region


def projection(channels: int, dim: int, dropout: float) -> nn.Sequential:
    """3x3 convolution, ReLU, channel dropout: 4.7 million parameters from 2048 to 256 channels."""
    return nn.Sequential(
        nn.Conv2d(channels, dim, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout2d(dropout)
    )
