"""Few-shot segmenters by name: `build_method("pfenet", backbone, preset="scenes")`."""

from __future__ import annotations

from typing import Any

from fsslib.encoders.stages import StageBackbone
from fsslib.methods.asgnet import ASGNet, ASGNetConfig
from fsslib.methods.bam import BAM, BAMConfig
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.baselines import (
    AllForeground,
    ClipPriorThreshold,
    MaskedAveragePrototype,
    PriorThreshold,
    ThresholdConfig,
)
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.finetuned import dinoiser_method
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.hdmnet import HDMNet, HDMNetConfig
from fsslib.methods.hsnet import HSNet, HSNetConfig
from fsslib.methods.lfss.config import LFSSConfig
from fsslib.methods.lfss.network import LFSS
from fsslib.methods.lfss.pseudo_masks import WordMaskBaseline
from fsslib.methods.panet import PANet, PANetConfig
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.qgnet import QGNet, QGNetConfig
from fsslib.methods.words import WordMasks

TRAINED = {
    "pfenet": PFENetConfig,
    "bam": BAMConfig,
    "hdmnet": HDMNetConfig,
    "panet": PANetConfig,
    "asgnet": ASGNetConfig,
    "hsnet": HSNetConfig,
    "lfss": LFSSConfig,
    "qgnet": QGNetConfig,
    "clip_dinoiser_finetuned": DinoiserConfig,
}
"""Methods that are trained, and their settings."""
BASELINES = (
    "all_foreground",
    "prior_threshold",
    "prototype",
    "clip_prior",
    "word_mask",
    "clip_dinoiser",
)
METHODS = (*TRAINED, *BASELINES)
THRESHOLDED = ("prior_threshold", "clip_prior")
"""Baselines that cut a map; `ThresholdConfig` is their setting."""
PRIOR_GUIDED = ("pfenet", "bam", "hdmnet")
"""Methods that read a prior map."""
WITH_BASE = ("bam", "hdmnet")
"""Methods that need a base learner."""
WITH_WORDS = ("lfss", "word_mask")
"""Methods that make their masks from a word."""
WITH_DINOISER = ("clip_dinoiser", "clip_dinoiser_finetuned")
"""Methods over CLIP-DINOiser's features; they have no backbone but a CLIP."""
UNDILATED = ("hsnet",)
"""Methods that read the backbone as it classifies."""


def build_method(
    name: str,
    backbone: StageBackbone,
    preset: str = "paper",
    clip: ClipPriors | None = None,
    base: BaseLearner | None = None,
    words: WordMasks | None = None,
    extractor: StageBackbone | None = None,
    dinoiser: ClipDinoiser | None = None,
    **settings: Any,
) -> FewShotSegmenter:
    """A method over a backbone.

    Args:
        name: one of `METHODS`.
        preset: a preset of the method's config (of LFSS's for "word_mask"); other baselines have
            none and ignore it.
        clip: makes the priors of `prior="pi_clip"`, and of the baseline "clip_prior".
        base: the trained base learner of BAM and HDMNet, whose backbone they read.
        words: makes LFSS's masks.
        extractor: QGNet's second backbone, pretrained without labels.
        dinoiser: CLIP and heads of the methods in `WITH_DINOISER`; asked with their settings.
        settings: changes on top of the preset, checked by name and type.

    Raises:
        ValueError: unknown name, or a part that the method needs is missing.
    """
    if name in WITH_BASE and base is None:
        raise ValueError(f"method={name!r} needs base=, a trained base learner")
    if name in WITH_WORDS and words is None:
        raise ValueError(f"method={name!r} needs words=WordMasks(…)")
    if name in WITH_DINOISER:
        if dinoiser is None:
            raise ValueError(f"method={name!r} needs dinoiser=ClipDinoiser(…)")
        return dinoiser_method(dinoiser.configured(DinoiserConfig.preset(preset, **settings)))
    if name == "word_mask":
        config = LFSSConfig.preset(preset, **settings)
        return WordMaskBaseline(backbone, words, config)
    if name not in TRAINED:
        return _baseline(name, backbone, clip, settings)
    config = TRAINED[name].preset(preset, **settings)
    if name in WITH_BASE:
        kind = BAM if name == "bam" else HDMNet
        return kind(base.backbone, base.head, base.class_ids.tolist(), config, clip)
    if name == "pfenet":
        return PFENet(backbone, config, clip)
    if name == "qgnet":
        if extractor is None:
            raise ValueError("method='qgnet' needs extractor=, a pretrained backbone")
        return QGNet(backbone, extractor, config)
    if name == "lfss":
        return LFSS(backbone, words, config)
    if name == "asgnet":
        return ASGNet(backbone, config)
    return {"panet": PANet, "hsnet": HSNet}[name](backbone, config)


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
    "THRESHOLDED",
    "TRAINED",
    "UNDILATED",
    "WITH_BASE",
    "WITH_DINOISER",
    "WITH_WORDS",
    "FewShotSegmenter",
    "PFENet",
    "PFENetConfig",
    "Prediction",
    "ThresholdConfig",
    "build_method",
]
