"""PI-CLIP: what a frozen CLIP says of the query, from a word and from the supports."""

from fsslib.methods.pi_clip.config import ClipMaps, ClipPriorConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.pi_clip.prompts import Prompts

__all__ = ["ClipMaps", "ClipPriorConfig", "ClipPriors", "Prompts"]
