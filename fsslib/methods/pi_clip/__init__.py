"""PI-CLIP: what a frozen CLIP says of the query, from a word and from the supports."""

from fsslib.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "fsslib.methods.pi_clip.config": ("ClipMaps", "ClipPriorConfig"),
        "fsslib.methods.pi_clip.priors": ("ClipPriors",),
        "fsslib.methods.pi_clip.prompts": ("Prompts",),
        "fsslib.methods.pi_clip.source": ("ClipPrior",),
    },
)
