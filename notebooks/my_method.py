"""A prior and a method of one's own, which lesson 70 trains: change them, and run it again."""

from dataclasses import dataclass

import torch
from einops import rearrange, reduce
from torch import nn

from fsslib.layers.losses import segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods import Prediction, PriorSource
from fsslib.methods.features import reduction
from fsslib.methods.prior_guided import PriorGuided
from fsslib.priors.similarity import best_match, min_max
from fsslib.settings import Count, NonNegative, Positive, Settings


@dataclass(frozen=True)
class BorderConfig(Settings):
    weight: NonNegative = 0.5
    """How much likeness to the query's border counts against a cell."""


class BorderPrior(PriorSource):
    """Bright where a query cell is like the support's object and unlike the query's border."""

    config_class = BorderConfig

    def __init__(self, config):
        super().__init__()
        self.weight = config.weight

    def channels(self, shot):
        return 1

    def forward(self, episodes, features):
        query, masked = features.query_middle, features.support_middle * features.soft_masks
        objects = rearrange(masked, "(b k) c h w -> b c (k h) w", k=features.shots)
        border = torch.ones_like(query)
        border[..., 1:-1, 1:-1] = 0
        like_object = best_match(query, objects)  # Eq. 1
        like_border = best_match(query, query * border)  # Eq. 2
        prior = min_max(like_object - self.weight * like_border)  # Eq. 3
        return {"border": prior[:, None]}


@dataclass(frozen=True)
class MyConfig(Settings):
    shot: Count = 1
    """Supports of an episode; a run fills it in."""
    dim: Count = 64
    """Channels of the decoder."""
    gain: Positive = 5.0
    """What the prior's maps are multiplied by, to be as loud as the features beside them."""

    @classmethod
    def presets(cls):
        return {"paper": {}, "scenes": {"dim": 32}}


class MyNet(PriorGuided):
    """Where query and prototype agree, where they differ, and the prior, read by a small CNN."""

    config_class = MyConfig

    def __init__(self, backbone, config, prior=None):
        super().__init__(backbone, prior, config.shot)
        self.gain, dim = config.gain, config.dim
        self.reduce = reduction(backbone, dim)
        self.decoder = nn.Sequential(
            *(nn.Conv2d(2 * dim + self.channels, dim, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU()),
            nn.Conv2d(dim, 2, 1),
        )
        self.plug_in(prior)

    def own_prior(self):
        return BorderPrior(BorderConfig())

    def decode(self, features, maps, class_ids, episodes):
        query = self.reduce(features.query_middle)
        pooled = masked_average(self.reduce(features.support_middle), features.soft_masks)
        prototype = reduce(pooled, "(b k) d 1 1 -> b d 1 1", "mean", k=features.shots)  # Eq. 4
        prior, named = self.prior_maps(features, maps, episodes)
        pairs = [query * prototype, (query - prototype).abs(), self.gain * prior]
        logits = self.decoder(torch.cat(pairs, 1))  # Eq. 5
        return Prediction(resize(logits, features.query.shape[-2:]), named)

    def loss(self, prediction, episodes):
        mask = episodes.query_mask
        return {"main": segmentation_loss(prediction.logits, mask, "cross_entropy_dice")}
