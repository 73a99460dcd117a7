"""Frozen feature extractors and where their weights come from."""

from fsslib.encoders.backbones import BACKBONES, build_backbone, is_backbone, require_backbone
from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.encoders.weights import WeightsError, weights_card

__all__ = [
    "BACKBONES",
    "StageBackbone",
    "Stages",
    "WeightsError",
    "build_backbone",
    "is_backbone",
    "require_backbone",
    "weights_card",
]
