"""Settings of CLIP-DINOiser, and of what takes support images in the place of its words.

"Published" numbers are those of the released code; the paper's first release had delta 0.9. All
about support images is this repository's own: see `methods/clip_dinoiser/variants.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fsslib.settings import Count, Fraction, NonNegative, Positive, Settings, Tap

Variant = Literal[
    "text",
    "global_image",
    "masked_global",
    "prototype",
    "centred",
    "fusion",
    "correspondence",
    "finetuned",
]
Background = Literal["word", "decoder", "prototype"]
USUAL_BACKGROUND: dict[str, Background] = {
    "text": "word",
    "global_image": "word",
    "masked_global": "word",
}
"""Of variants without prototypes; all others read a prototype."""


@dataclass(frozen=True)
class DinoiserConfig(Settings):
    """Numbers of CLIP-DINOiser, and the choices of its support-image variants."""

    variant: Variant = "prototype"
    """What stands for a class. `text` (V0): its name. `global_image` (V1): the embedding of the
    whole support. `masked_global` (V2): of its object, cut out. `prototype` (V3): pooled dense
    features. `centred` (V3b): the same seen from the supports' mean, several backgrounds. `fusion`
    (V4): text and prototype. `correspondence` (V5): prototype, and how well cells match.
    `finetuned` (V6): fusion with everything small trained on base classes."""
    background: Background | None = None
    """Where background comes from: the word, `bkg_decoder` (saliency at most 0.5), or support
    cells of no episode class. None: the word for V0 to V2, a prototype for the others."""
    pooling: bool = True
    """Whether features are averaged with the correlations as weights."""
    gamma: Fraction | None = 0.2
    """Correlations below this are cut."""
    delta: Fraction = 0.99
    """Words less sure than this leave what is not salient to the background."""
    refine: bool = True
    """That refinement (`text` with the word as background only)."""
    temperature: Positive = 100.0
    """Of cosines with words, before the softmax."""
    image_temperature: Positive = 100.0
    """Of cosines with support images; what fits words need not fit them."""
    alpha: Fraction = 0.5
    """Share of the words in `fusion`; 1 is `text` without refinement, 0 is `prototype`."""
    correspondence_weight: NonNegative = 0.5
    """Of the correspondence prior, beside the cosine."""
    smooth_logits: bool = False
    """`correspondence`: average logits, too, with the query's correlations."""
    shots: Literal["mean", "pixels"] = "mean"
    """K shots: a prototype each and their mean, or one over the pixels of all."""
    clusters: Count = 5
    """Background prototypes of `centred`."""
    templates: str = "imagenet"
    """Around class names, a key of `prompts.TEMPLATES`; reported results use CLIP's 80."""
    words: str = "clip_dinoiser"
    """What classes are called, a key of `prompts.CLASS_WORDS`."""
    tap: Tap = -3
    """Block whose MLP input the heads read."""
    size: Count | None = 448
    """Side of the pictures CLIP sees in pixels; None: as they are."""
    global_size: Count = 224
    """The same for embeddings of whole pictures."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: the numbers of the released code. `first_release`: of December 2023. `scenes`:
        the embedded benchmark, at the size of most of its CLIPs' training."""
        return {
            "paper": {},
            "first_release": {"delta": 0.9},
            "scenes": {"size": 96, "global_size": 96, "templates": "maskclip", "words": "raw"},
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant == "finetuned" and self.background_source != "prototype":
            raise ValueError(
                f"background={self.background!r}: finetuned mixes word, prototype and decoder; "
                "leave it out"
            )

    @property
    def background_source(self) -> Background:
        """`background`, or the variant's usual one."""
        return self.background or USUAL_BACKGROUND.get(self.variant, "prototype")
