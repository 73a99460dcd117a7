"""Frozen feature extractors and where their weights come from."""

from fsslib.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "fsslib.encoders.backbones": (
            "BACKBONES",
            "build_backbone",
            "is_backbone",
            "require_backbone",
        ),
        "fsslib.encoders.stages": ("StageBackbone", "Stages"),
        "fsslib.encoders.weights": ("WeightsError", "weights_card"),
    },
)
