"""PI-CLIP's priors as a source that any decoder can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from fsslib.data.episode import Episode
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.pi_clip.config import ClipPriorConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.prior_source import PRIORS, Maps, PriorSource, require_episodes


@PRIORS.register("pi_clip")
class ClipPrior(PriorSource):
    """`vtp` and `vvp`; what they were made of, `cam` and `boxes`, is shown.

    Args:
        clip: makes them; its settings say which.
        vvp_layers: of how many of CLIP's last blocks the VVP is read, one map a shot each, unless
            the settings say so.
        repeat_vtp: how many channels the VTP fills.
    """

    config_class = ClipPriorConfig
    parts: ClassVar = {"clip": ClipPriors}
    frozen = ("clip",)
    reads_names = True

    def __init__(self, clip: ClipPriors, vvp_layers: int = 1, repeat_vtp: int = 1) -> None:
        super().__init__()
        self.clip, self.vvp_layers, self.repeat_vtp = clip, vvp_layers, repeat_vtp

    @classmethod
    def build(
        cls, config: ClipPriorConfig, options: Mapping[str, Any], *, clip: ClipPriors
    ) -> ClipPrior:
        """`clip` has been made with the settings already."""
        return cls(clip, **options)

    def channels(self, shot: int) -> int:
        return self.clip.channels(shot, self.repeat_vtp, self.vvp_layers)

    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        named = self.clip(require_episodes(episodes, self), self.vvp_layers).named()
        maps = {name: named.pop(name) for name in ("vtp", "vvp") if name in named}
        features.shown.update(named)
        if "vtp" in maps:
            maps["vtp"] = maps["vtp"].expand(-1, self.repeat_vtp, -1, -1)
        return maps
