"""Talk2DINO: a class's name asked of DINOv2's cells (Barsellotti et al., ICCV 2025).

Formulas in `encoders/talk2dino.py`. The map from CLIP's text space into DINO's is a local file:
its authors give it no licence, so that none is shipped or downloaded. A class is where its map
lies above a constant, several classes and the background are told apart by the largest map.
Supports are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.config import ConfigError
from fsslib.data.episode import Episode
from fsslib.encoders import talk2dino
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.prompts import resolve_templates
from fsslib.encoders.talk2dino import TextToDino
from fsslib.methods.base import METHODS, FewShotSegmenter, Guidance, Prediction, require_batch
from fsslib.methods.grid_method import GridConfig
from fsslib.settings import Fraction

USUAL_ENCODER = "timm/vit_base_patch14_reg4_dinov2"


class DinoWords(nn.Module):
    """Names -> unit vectors in DINO's space.

    Args:
        clip: whose text tower the map was learned on; the published maps are for ViT-B/16.
        templates: a key of `prompts.TEMPLATES`.

    Raises:
        ConfigError: a map for texts of another width.
    """

    def __init__(
        self, clip: ClipEncoder, text_map: TextToDino, templates: str = "imagenet"
    ) -> None:
        super().__init__()
        if text_map.sides[0] != clip.dim:
            raise ConfigError(
                f"text_map reads texts of {text_map.sides[0]} numbers, {clip.name} gives "
                f"{clip.dim}; name the CLIP that it was learned on, such as "
                "clip='ViT-B-16-quickgelu weights=openai'"
            )
        self.clip, self.text_map, self.templates = clip, text_map, resolve_templates(templates)

    @property
    def channels(self) -> int:
        return self.text_map.sides[-1]

    def forward(self, names: Sequence[str]) -> Float[Tensor, "names c"]:
        made = self.clip.while_unchanged(f"dino words {self.templates}", dict[str, Tensor])
        for name in names:
            if name not in made:
                prompts = [template.format(name) for template in self.templates]
                tokens = self.clip.tokenizer(prompts).to(self.clip.logit_scale.device)
                made[name] = self.clip.encode_tokens(tokens)
        return self.text_map(torch.stack([made[name] for name in names]))


@dataclass(frozen=True)
class Talk2DinoConfig(GridConfig):
    """How a name becomes a mask."""

    background: Fraction = talk2dino.BACKGROUND
    """What a class's map, which lies in 0.27..0.73, is compared with."""
    cleaning: Fraction = 0.0
    """How much of what the class token looks at is added; the released code's is 0.2, 0: none."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: maps alone. `official`: the released code on benchmarks with a background.
        `scenes`: for maps of one's own onto the embedded encoders."""
        official = {"size": 448, "cleaning": talk2dino.CLEANING}
        return {"paper": {"size": 448}, "official": official, "scenes": {}}


@METHODS.register("talk2dino")
class Talk2Dino(FewShotSegmenter):
    """A word, DINO's cells and no support; N-way as it is. Maps: `similarity` (B,N,h,w), cosines;
    `soft`, after the sigmoid and the cleaning.

    Raises:
        ConfigError: a map into a space of other width than the encoder's, or cleaning with an
            encoder whose class token's attention cannot be read.
    """

    trainable = False
    parts: ClassVar = {"encoder": GridEncoder, "dino_words": DinoWords}
    frozen = ("encoder", "dino_words")
    config_class = Talk2DinoConfig
    usual_preset = "official"
    binary = False
    reads_masks = False

    def __init__(
        self, encoder: GridEncoder, dino_words: DinoWords, config: Talk2DinoConfig | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.dino_words = encoder, dino_words
        self.config = config or Talk2DinoConfig()
        if dino_words.channels != encoder.channels:
            raise ConfigError(
                f"text_map leads into a space of {dino_words.channels} channels, {encoder.name} "
                f"has {encoder.channels}; name the encoder that it was learned on, such as "
                f"encoder={USUAL_ENCODER}"
            )
        if self.config.cleaning and not hasattr(encoder, "qkv"):
            raise ConfigError(
                f"cleaning={self.config.cleaning}: the class token's attention of {encoder.name} "
                "cannot be read; use preset=paper, or a plain ViT of timm"
            )

    @classmethod
    def guided_by(cls, config: Talk2DinoConfig) -> Guidance:
        return "word"

    @classmethod
    def reads_names(cls, config: Talk2DinoConfig) -> bool:
        return True

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_batch(episodes, type(self).__name__)
        size = self.config.size
        features = self.encoder(episodes.query_image, norm=True, size=size).float()
        text = torch.stack([self.dino_words(names) for names in episodes.class_names])  # (b, n, c)
        each = list(zip(features[:, None], text, strict=True))
        cosines = torch.cat([talk2dino.similarity(*one) for one in each])
        soft = cosines.sigmoid()
        if self.config.cleaning:
            looks = self._class_attention(episodes.query_image)[:, None]
            parts = zip(soft[:, None], features[:, None], looks, text, strict=True)
            weight = self.config.cleaning
            soft = torch.cat([talk2dino.clean_background(*part, weight) for part in parts])
        logits = talk2dino.with_background(
            soft, tuple(episodes.query_mask.shape[-2:]), self.config.background
        )
        return Prediction(logits, {"similarity": cosines, "soft": soft})

    def _class_attention(self, images: Tensor) -> Float[Tensor, "b heads n"]:
        inputs = self.encoder.preprocess(self.encoder.fit(images, self.config.size))
        qkv = self.encoder.qkv(inputs).float()
        return talk2dino.class_attention_logits(qkv, self.encoder.prefix_tokens)
