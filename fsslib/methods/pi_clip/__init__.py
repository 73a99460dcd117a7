"""PI-CLIP: what a frozen CLIP says of the query, from a word and from the supports."""

from fsslib.methods.pi_clip.config import ClipMaps, ClipPriorConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.pi_clip.prompts import Prompts
from fsslib.methods.pi_clip.source import ClipPrior

__all__ = ["ClipMaps", "ClipPrior", "ClipPriorConfig", "ClipPriors", "Prompts"]
