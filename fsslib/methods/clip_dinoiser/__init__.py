"""CLIP-DINOiser, and support images in the place of its words."""

from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.finetuned import FineTunedDinoiser
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.clip_dinoiser.variants import SupportDinoiser

__all__ = ["ClipDinoiser", "DinoiserConfig", "FineTunedDinoiser", "SupportDinoiser"]
