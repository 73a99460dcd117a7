"""Few-shot segmenters by name: `build_method("pfenet", backbone, preset="scenes")`."""

from __future__ import annotations

from typing import Any

from fsslib.encoders.stages import StageBackbone
from fsslib.methods.bam import BAM, BAMConfig
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.baselines import (
    AllForeground,
    ClipPriorThreshold,
    MaskedAveragePrototype,
    PriorThreshold,
)
from fsslib.methods.hdmnet import HDMNet, HDMNetConfig
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.methods.pi_clip import ClipPriors

PRIOR_GUIDED = {"pfenet": PFENetConfig, "bam": BAMConfig, "hdmnet": HDMNetConfig}
"""Methods that read a prior map, and their settings."""
BASELINES = ("all_foreground", "prior_threshold", "prototype", "clip_prior")
METHODS = (*PRIOR_GUIDED, *BASELINES)
WITH_BASE = ("bam", "hdmnet")
"""Methods that need a base learner."""


def build_method(
    name: str,
    backbone: StageBackbone,
    preset: str = "paper",
    clip: ClipPriors | None = None,
    base: BaseLearner | None = None,
    **settings: Any,
) -> FewShotSegmenter:
    """A method over a backbone.

    Args:
        name: one of `METHODS`.
        preset: a preset of the method's config; baselines have none and ignore it.
        clip: makes the priors of `prior="pi_clip"`, and of the baseline "clip_prior".
        base: the trained base learner of BAM and HDMNet, on the same backbone.
        settings: changes on top of the preset, checked by name and type.

    Raises:
        ValueError: unknown name, or a part that the method needs is missing.
    """
    if name in WITH_BASE and base is None:
        raise ValueError(f"method={name!r} needs base=, a trained base learner")
    if name == "pfenet":
        return PFENet(backbone, PFENetConfig.preset(preset, **settings), clip)
    if name == "bam":
        config = BAMConfig.preset(preset, **settings)
        return BAM(backbone, base.head, base.class_ids.tolist(), config, clip)
    if name == "hdmnet":
        config = HDMNetConfig.preset(preset, **settings)
        return HDMNet(backbone, base.head, base.class_ids.tolist(), config, clip)
    return _baseline(name, backbone, clip, settings)


def _baseline(
    name: str, backbone: StageBackbone, clip: ClipPriors | None, settings: dict[str, Any]
) -> FewShotSegmenter:
    if name == "all_foreground":
        return AllForeground(**settings)
    if name == "prior_threshold":
        return PriorThreshold(backbone, **settings)
    if name == "prototype":
        return MaskedAveragePrototype(backbone, **settings)
    if name == "clip_prior":
        if clip is None:
            raise ValueError("method='clip_prior' needs clip=ClipPriors(…)")
        return ClipPriorThreshold(clip, **settings)
    raise ValueError(f"method={name!r}: expected one of {list(METHODS)}")


__all__ = [
    "BASELINES",
    "METHODS",
    "PRIOR_GUIDED",
    "WITH_BASE",
    "FewShotSegmenter",
    "PFENet",
    "PFENetConfig",
    "Prediction",
    "build_method",
]
