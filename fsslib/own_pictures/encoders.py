"""What `weights=` means: which family of encoders, and how runs call it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from fsslib.config import ConfigError

EMBEDDED = "scenes"
SHORT = {
    "imagenet": "resnet50 weights=imagenet",
    "dinov2": "timm/vit_small_patch14_dinov2",
    "dinov3": "timm/vit_small_patch16_dinov3",
}
"""Words for networks that many ask for."""
CLIP = "ViT-B-16"


@dataclass(frozen=True)
class Encoder:
    """A family of encoders, and the one that is meant, as the parameters of a run have it."""

    family: str
    text: str


def encoder_of(weights: str) -> Encoder:
    """The encoder that a word, a tag or a name of timm means.

    Args:
        weights: "scenes", a word of `SHORT`, "timm/ARCHITECTURE", or a tag of open_clip's ViT-B-16.

    Raises:
        ConfigError: none of these; names near ones.
    """
    if weights == EMBEDDED:
        return Encoder(EMBEDDED, EMBEDDED)
    text = SHORT.get(weights, weights)
    if weights in SHORT or weights.startswith("timm/"):
        from fsslib.encoders.timm_vit import is_timm_vit

        return Encoder("timm_vit" if is_timm_vit(text.split()[0]) else "backbone", text)
    import open_clip

    quick = open_clip.list_pretrained_tags_by_model(f"{CLIP}-quickgelu")  # trained with QuickGELU
    tags = {*quick, *open_clip.list_pretrained_tags_by_model(CLIP)}
    if weights not in tags:
        near = difflib.get_close_matches(weights, [EMBEDDED, *SHORT, *tags], 3, 0.6)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ConfigError(
            f"weights={weights!r}: expected {EMBEDDED!r}, {', '.join(map(repr, SHORT))}, "
            f"'timm/' and a network of timm, or a tag of open_clip's {CLIP}, such as 'openai'{hint}"
        )
    network = f"{CLIP}-quickgelu" if weights in quick else CLIP
    return Encoder("open_clip", f"{network} weights={weights}")
