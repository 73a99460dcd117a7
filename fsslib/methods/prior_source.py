"""What a prior is to a decoder: named maps of the query, made from anything that is known of it.

"Plug a prior into a decoder" is the theme of this repository. A source says how many maps there
are and makes them; PFENet, BAM, HDMNet and QGNet read the maps of any source, and sources combine.
A new one is a class of a few lines:

    @PRIORS.register("centre")
    class CentrePrior(PriorSource):
        def channels(self, shot):
            return 1

        def forward(self, episodes, features):
            rows, columns = features.grid
            ...
            return {"centre": maps}  # (B, 1, h, w)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.methods.base import NoSettings
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.registry import PRIORS
from fsslib.settings import Fraction, Settings

Maps = dict[str, Tensor]
"""Maps (B,C,h,w) of the query by name, each on a grid of its own."""


class PriorSource(nn.Module, ABC):
    """Base class of all priors."""

    name: ClassVar[str] = ""
    """In the registry `PRIORS`."""
    config_class: ClassVar[type[Settings]] = NoSettings
    parts: ClassVar[Mapping[str, Any]] = {}
    """What it is built of besides its settings: parameters of the constructor, and their types."""
    frozen: tuple[str, ...] = ()
    """Submodules that come trained and stay as they are."""
    scored_maps: tuple[str, ...] = ()
    """Maps (B,1,h,w) that a run scores beside the prediction."""
    reads_names: ClassVar[bool] = False
    """Whether it reads the names of an episode's classes."""

    @classmethod
    def build(cls, config: Settings, options: Mapping[str, Any], **parts: Any) -> PriorSource:
        """One of these parts.

        Args:
            options: how the method that it is for wants it (`PriorGuided.prior_options`).
        """
        settings = {} if cls.config_class is NoSettings else {"config": config}
        return cls(**parts, **settings, **options)

    @abstractmethod
    def channels(self, shot: int) -> int:
        """How many maps a decoder reads for an episode of `shot` supports."""

    @abstractmethod
    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        """The maps of a batch of queries, `channels` of them in all, which a decoder reads in this
        order. What is only worth seeing goes into `features.shown`.

        Args:
            episodes: images, masks and names as they are; None where a method is given images that
                are normalised already, which sources that read features alone do not mind.
            features: of the method's backbone, each made when it is first read.
        """


def require_episodes(episodes: Episode | None, source: PriorSource) -> Episode:
    """The episodes; ValueError where a method was given normalised images alone."""
    if episodes is None:
        raise ValueError(
            f"prior {source.name!r} reads episodes, and there are only normalised images: call the "
            "method with episodes, or give predict() the maps"
        )
    return episodes


@PRIORS.register("none")
class NoPrior(PriorSource):
    """The decoder gets no map."""

    def channels(self, shot: int) -> int:
        return 0

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        return {}


@dataclass(frozen=True)
class ConstantConfig(Settings):
    """What every cell of a constant map holds."""

    value: Fraction = 0.5


@PRIORS.register("constant")
class ConstantPrior(PriorSource):
    """One map that says nothing: the control for any other."""

    config_class = ConstantConfig

    def __init__(self, config: ConstantConfig | None = None) -> None:
        super().__init__()
        self.config = config or ConstantConfig()

    def channels(self, shot: int) -> int:
        return 1

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        shape = (len(features.query), 1, *features.grid)
        return {"constant": features.query.new_full(shape, self.config.value)}


class CombinedPriors(PriorSource):
    """Several sources side by side: all maps of the first, then all of the next.

    Raises:
        ValueError: two sources of one name, whose maps could not be told apart.
    """

    def __init__(self, sources: Sequence[PriorSource]) -> None:
        super().__init__()
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"priors {names}: expected each source once")
        self.sources = nn.ModuleDict(
            {name.replace(".", "_"): part for name, part in zip(names, sources, strict=True)}
        )
        self.name = "+".join(names)
        self.scored_maps = tuple(name for part in sources for name in part.scored_maps)
        self.reads_names = any(part.reads_names for part in sources)

    def channels(self, shot: int) -> int:
        return sum(source.channels(shot) for source in self.sources.values())

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        maps: Maps = {}
        for source in self.sources.values():
            new = source(episodes, features)
            if both := sorted(maps.keys() & new.keys()):
                raise ValueError(f"prior {self.name!r}: two of its sources make a map {both[0]!r}")
            maps |= new
        return maps
