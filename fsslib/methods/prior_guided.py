"""What PFENet, BAM, HDMNet and QGNet share: a frozen backbone, and a prior that plugs in.

The prior is the one thing that PI-CLIP and QGNet change. A method as published has its own; any
other `PriorSource` takes its place (not a place beside it: combine sources for that).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.onednn import by_onednn
from fsslib.encoders.stages import StageBackbone
from fsslib.layers.resize import resize
from fsslib.methods.base import FewShotSegmenter, Prediction, foreground, require_one_way
from fsslib.methods.features import EpisodeFeatures, SupportMask
from fsslib.methods.prior_source import Maps, PriorSource
from fsslib.methods.read_ahead import ReadAhead
from fsslib.methods.shapes import Shapes


class PriorGuided(FewShotSegmenter):
    """A binary method over a backbone whose decoder reads prior maps.

    A subclass builds its decoder for `self.channels` maps and then calls `plug_in`.

    Args:
        prior: where the maps come from; None: the method's own.
        shot: supports of an episode that the decoder is built for.
    """

    reads_prior = True
    own_prior_parts: ClassVar[Mapping[str, Any]] = {}
    """What the method's own prior is built of; other sources say so themselves."""
    prior_options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """How a source's settings differ on this method, by the source's name."""
    own_channels: ClassVar[int] = 1
    support_mask: SupportMask = "both"

    def __init__(self, backbone: StageBackbone, prior: PriorSource | None, shot: int) -> None:
        super().__init__()
        self.backbone, self.shot = backbone, shot
        self.channels = self.own_channels if prior is None else prior.channels(shot)
        self.ahead = ReadAhead()

    @classmethod
    def shown_channels(cls, shapes: Shapes) -> int | None:
        """How many maps the decoder of a state dict reads; None where that does not show."""
        return None

    @abstractmethod
    def own_prior(self) -> PriorSource:
        """The method's prior as published."""

    def plug_in(self, prior: PriorSource | None) -> None:
        """Take the maps from `prior`, or from the method's own (made last: its weights are drawn
        after the decoder's)."""
        self.prior = self.own_prior() if prior is None else prior
        self.scored_maps = self.prior.scored_maps
        by_onednn(self)

    def forward(self, episodes: Episode) -> Prediction:
        require_one_way(episodes, type(self).__name__)
        features = self.ahead.take(episodes) or self._features_of(episodes)
        prediction = self._decoded(features, None, episodes.class_ids[:, 0], episodes)
        self.ahead.note(features)
        return prediction

    def read_ahead(self, episodes: Episode) -> None:
        if self.backbone.remembers:
            self.ahead.read(episodes, self._features_of)

    def _features_of(self, episodes: Episode) -> EpisodeFeatures:
        images = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        return self._features(
            self.backbone.preprocess(episodes.query_image),
            self.backbone.preprocess(images),
            foreground(episodes.support_masks[:, 0]),
        )

    def predict(
        self,
        query: Float[Tensor, "b 3 h w"],
        support: Float[Tensor, "bk 3 h w"],
        masks: Float[Tensor, "b k h w"],
        maps: Maps | None = None,
        class_ids: Tensor | None = None,
        episodes: Episode | None = None,
    ) -> Prediction:
        """The network on already normalised images.

        Args:
            masks: 0 or 1.
            maps: for the decoder, in place of those that the prior makes.
            class_ids: the episodes' classes, for methods that know their base classes.
            episodes: for priors that read them.
        """
        return self._decoded(self._features(query, support, masks), maps, class_ids, episodes)

    def _features(self, query: Tensor, support: Tensor, masks: Tensor) -> EpisodeFeatures:
        return EpisodeFeatures(
            self.backbone, query, support, masks, self.support_mask, getattr(self, "embed", None)
        )

    def _decoded(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        if self.prior.channels(features.shots) != self.prior.channels(self.shot):
            self.require_shot(features.shots)
        return self.decode(features, maps, class_ids, episodes)

    @abstractmethod
    def decode(
        self,
        features: EpisodeFeatures,
        maps: Maps | None,
        class_ids: Tensor | None,
        episodes: Episode | None,
    ) -> Prediction:
        """From features to a prediction; see `predict`."""

    def prior_maps(
        self, features: EpisodeFeatures, maps: Maps | None, episodes: Episode | None
    ) -> tuple[Float[Tensor, "b m h w"], Maps]:
        """The maps side by side on the features' grid, and each by its name.

        Raises:
            ValueError: more or fewer maps than the decoder was built for.
        """
        maps = self.prior(episodes, features) if maps is None else maps
        empty = features.query.new_zeros(len(features.query), 0, *features.grid)
        prior = torch.cat([empty, *(resize(part, features.grid) for part in maps.values())], 1)
        if prior.shape[1] != self.channels:
            counts = {name: part.shape[1] for name, part in maps.items()}
            raise ValueError(
                f"prior {self.prior.name!r} made {prior.shape[1]} maps {counts}, and the decoder "
                f"reads {self.channels}: what channels({features.shots}) announces"
            )
        return prior, {"prior": prior} | maps | features.shown

    def require_shot(self, shots: int) -> None:
        """ValueError unless episodes have as many supports as the decoder was built for."""
        if shots != self.shot:
            raise ValueError(
                f"episodes have {shots} supports and this {type(self).__name__} was built for "
                f"{self.shot}; build it with shot={shots} and train it so"
            )
