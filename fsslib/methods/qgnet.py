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
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.resize import resize
from fsslib.methods.base import METHODS, Prediction, PriorExtractor
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.pfenet import PFENet, PFENetConfig, PFENetPrior
from fsslib.methods.prior_source import PRIORS, CombinedPriors, Maps, PriorSource
from fsslib.methods.shapes import Shapes
from fsslib.priors.similarity import prior_region_map
from fsslib.settings import Count, Fraction, Settings

Shown = Literal["own", "zero", "inverted", "scrambled"]
Projection = Literal["conv3x3", "none"]


@dataclass(frozen=True)
class RegionConfig(Settings):
    """Numbers of the prior region map."""

    projection: Projection = "conv3x3"
    """Learned projections of both features before they are compared, or none."""
    shown: Shown = "own"
    """What the decoder gets in place of the map, for the study of its polarity: the map, zeros, one
    minus the map, or the map with its cells shuffled (always the same way)."""
    dim: Count = 256
    """Channels of the projections."""
    dropout: Fraction = 0.5

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: Eqs. 8-12 as printed. `official`: with the code's projections. `scenes`: the
        same, smaller."""
        return {"paper": {"projection": "none"}, "official": {}, "scenes": {"dim": 64}}


@PRIORS.register("region")
class RegionPrior(PriorSource):
    """QGNet's prior region map (Eqs. 8-12): where the query as the backbone sees it resembles the
    query as the extractor sees it. One map, of the query alone, of whatever polarity.

    Args:
        backbone: whose layer4 is compared; only its number of channels is read here.
        extractor: any stage backbone; its pictures are normalised as the backbone's.

    Raises:
        ValueError: no projection, and two networks of different width.
    """

    config_class = RegionConfig
    parts: ClassVar = {"backbone": StageBackbone, "extractor": PriorExtractor}
    frozen = ("extractor",)
    scored_maps = ("prior_region",)

    def __init__(
        self,
        backbone: StageBackbone,
        extractor: StageBackbone,
        config: RegionConfig | None = None,
    ) -> None:
        super().__init__()
        self.extractor, self.config = extractor, config or RegionConfig()
        channels = backbone.channels[2], extractor.channels[2]
        if self.config.projection == "none":
            if channels[0] != channels[1]:
                raise ValueError(
                    f"projection='none': the backbone has {channels[0]} channels, the "
                    f"extractor {channels[1]}; use two of a kind, or 'conv3x3'"
                )
            self.project_bridge = self.project_prior = nn.Identity()
        else:
            dim, dropout = self.config.dim, self.config.dropout
            self.project_bridge = projection(channels[0], dim, dropout)
            self.project_prior = projection(channels[1], dim, dropout)

    def channels(self, shot: int) -> int:
        return 1

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        with torch.no_grad():
            seen = self.extractor.stages(features.query).layer4
        bridge = self.project_bridge(features.query_layer4)
        region = prior_region_map(bridge, self.project_prior(seen))
        return {"prior_region": self._shown(region)}

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


@dataclass(frozen=True)
class QGNetConfig(PFENetConfig):
    """PFENet's numbers, and those of its own second map."""

    projection: Projection = "conv3x3"
    """See `RegionConfig`."""
    shown: Shown = "own"
    """See `RegionConfig`."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: Eqs. 8-12 as printed, at 473. `official`: as the code runs, with its projections
        and its BatchNorm. `fractions`: scales relative to the features (VGG, 321 and other sizes).
        `scenes`: the embedded benchmark."""
        presets = super().presets()
        return presets | {"paper": {**presets["paper"], "projection": "none"}}

    def region(self) -> RegionConfig:
        """The settings of the second map."""
        return RegionConfig(self.projection, self.shown, self.dim, self.reduce_dropout)


@METHODS.register("qgnet")
class QGNet(PFENet):
    """QGNet over two frozen backbones: PFENet whose own prior is "pfenet+region".

    Maps besides PFENet's, on the features' grid: the `guided_region` (PFENet's prior mask, by this
    paper's name) and the `prior_region` (B,1,h,w).

    Args:
        extractor: the prior extractor; None where another `prior` takes the place of its own.
    """

    config_class = QGNetConfig
    own_prior_parts: ClassVar = {"extractor": PriorExtractor}
    own_channels = 2
    official_names = (
        (r"prior\.sources\.region\.extractor\.stem\.", "layer0_unsuper."),
        (r"prior\.sources\.region\.extractor\.(layer[1-4])\.", r"\1_unsuper."),
        (r"prior\.sources\.region\.project_bridge\.", "down_learn_super."),
        (r"prior\.sources\.region\.project_prior\.", "down_learn_unsuper."),
        *PFENet.official_names,
    )

    def __init__(
        self,
        backbone: StageBackbone,
        extractor: StageBackbone | None = None,
        config: QGNetConfig | None = None,
        prior: PriorSource | None = None,
    ) -> None:
        if (extractor is None) == (prior is None):
            raise ValueError("QGNet is built of an extractor, or of another prior= in its place")
        if extractor is not None and config is not None and config.official_bn:
            extractor = extractor.copied(moving_statistics=True)
        self._own_parts = backbone, extractor
        super().__init__(backbone, config or QGNetConfig(), prior)

    def own_prior(self) -> PriorSource:
        region = RegionPrior(*self._own_parts, self.config.region())
        del self._own_parts
        return CombinedPriors([PFENetPrior(), region])

    def plug_in(self, prior: PriorSource | None) -> None:
        super().plug_in(prior)
        if prior is None:
            self.scored_maps = ("prior_region", "guided_region")

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        shown = super().shown_settings(shapes)
        if "prior.sources.region.extractor.stem.0.weight" not in shapes:
            return shown  # another prior
        projected = "prior.sources.region.project_bridge.0.weight" in shapes
        return shown | {"projection": "conv3x3" if projected else "none"}

    @property
    def region(self) -> RegionPrior:
        """The source of the prior region map."""
        return self.prior.sources["region"]

    def decode(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        prediction = super().decode(features, maps, class_ids, episodes)
        own = {"prior_mask": "guided_region", "prior_region": "prior_region"}
        for name, own_name in own.items():
            if name in prediction.maps:
                prediction.maps[own_name] = resize(prediction.maps[name], features.grid)
        return prediction


def projection(channels: int, dim: int, dropout: float) -> nn.Sequential:
    """3x3 convolution, ReLU, channel dropout: 4.7 million parameters from 2048 to 256 channels."""
    return nn.Sequential(
        nn.Conv2d(channels, dim, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout2d(dropout)
    )
