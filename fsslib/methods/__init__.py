"""Few-shot segmenters by name: `build_method("pfenet", backbone, preset="scenes")`."""

from __future__ import annotations

from typing import Any

from fsslib.encoders.stages import StageBackbone
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.baselines import AllForeground, MaskedAveragePrototype, PriorThreshold
from fsslib.methods.pfenet import PFENet, PFENetConfig

METHODS = ("pfenet", "all_foreground", "prior_threshold", "prototype")
BASELINES = METHODS[1:]


def build_method(
    name: str, backbone: StageBackbone, preset: str = "paper", **settings: Any
) -> FewShotSegmenter:
    """A method over a backbone.

    Args:
        name: one of `METHODS`.
        preset: a preset of the method's config; baselines have none and ignore it.
        settings: changes on top of the preset, checked by name and type.
    """
    if name == "pfenet":
        return PFENet(backbone, PFENetConfig.preset(preset, **settings))
    if name == "all_foreground":
        return AllForeground(**settings)
    if name == "prior_threshold":
        return PriorThreshold(backbone, **settings)
    if name == "prototype":
        return MaskedAveragePrototype(backbone, **settings)
    raise ValueError(f"method={name!r}: expected one of {list(METHODS)}")


__all__ = [
    "BASELINES",
    "METHODS",
    "FewShotSegmenter",
    "PFENet",
    "PFENetConfig",
    "Prediction",
    "build_method",
]
