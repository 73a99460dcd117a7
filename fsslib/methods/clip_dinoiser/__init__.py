"""CLIP-DINOiser, and support images in the place of its words."""

from fsslib.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "fsslib.methods.clip_dinoiser.config": ("DinoiserConfig",),
        "fsslib.methods.clip_dinoiser.finetuned": ("FineTunedDinoiser",),
        "fsslib.methods.clip_dinoiser.model": ("ClipDinoiser",),
        "fsslib.methods.clip_dinoiser.variants": ("SupportDinoiser",),
    },
)
