"""Features that are read from a cache before the step that learns from them.

A training's batches are made one ahead, in a thread beside the present step
(`fsslib.training.ahead`). Where a feature cache holds what a frozen network says of the pictures,
reading it is part of making the batch: files are read, checked and brought to the device while the
step before is taken, and the step finds its features made.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

from fsslib.data.episode import Episode
from fsslib.methods.features import EpisodeFeatures

STAGES = ("query_stages", "support_stages", "query_layer4", "support_layer4")
"""What a frozen backbone alone says, each made of those before it."""


class ReadAhead:
    """Features that wait for their episodes; they go with them."""

    def __init__(self) -> None:
        self._asked: tuple[str, ...] = ()
        self._ready: dict[int, EpisodeFeatures] = {}

    def read(self, episodes: Episode, make: Callable[[Episode], EpisodeFeatures]) -> None:
        """Compute what was asked of the features that were noted last; before any were, nothing."""
        if not self._asked:
            return
        features = make(episodes)
        for name in self._asked:
            getattr(features, name)
        self._ready[id(episodes)] = features
        weakref.finalize(episodes, self._ready.pop, id(episodes), None)

    def take(self, episodes: Episode) -> EpisodeFeatures | None:
        """The features of these very episodes, once; None where nothing was read."""
        return self._ready.pop(id(episodes), None)

    def note(self, features: EpisodeFeatures) -> None:
        """What was asked of these features will be asked of others."""
        self._asked = tuple(name for name in STAGES if name in vars(features))
