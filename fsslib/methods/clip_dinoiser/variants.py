"""CLIP-DINOiser with support images instead of text: V0 to V5, any N and K.

The idea comes from a short paper that leaves its result open; its numbers (0.0483 and 0.0405)
cannot be compared with any here (lesson 53), and nothing of its code is used. What stands for a
class is a variant's choice, see `DinoiserConfig.variant`; all of them end in softmax(temperature *
cosine) over background and the N classes on CLIP's grid, and probabilities are enlarged (bilinear),
as CLIP-DINOiser does it (a test at a photograph's own size enlarges their logarithms once more).
V6 is in `methods/clip_dinoiser/finetuned.py`.

V0, V4 and V6 read class names, V1 and V2 only "background": CLIP has seen those words, so that
"novel" is a convention there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from fsslib.config import ConfigError
from fsslib.data.episode import Episode
from fsslib.fp32 import in_fp32
from fsslib.layers.spherical_kmeans import spherical_kmeans
from fsslib.layers.weighted_pooling import refine_background, weighted_pool
from fsslib.methods.base import METHODS, FewShotSegmenter, Guidance, Prediction, require_batch
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import BACKGROUND, ClipDinoiser, DenseView
from fsslib.methods.clip_dinoiser.supports import (
    Supports,
    background_prototype,
    centre,
    centred,
    correspondence_prior,
    object_crops,
    prototype,
    share,
)
from fsslib.priors.similarity import unit

Logits = Float[Tensor, "b n1 h w"]
"""Background and N classes."""


@METHODS.register("clip_dinoiser")
class SupportDinoiser(FewShotSegmenter):
    """Variants V0 to V5: nothing is trained here; the heads come trained, without a mask."""

    config_class = DinoiserConfig
    parts: ClassVar = {"dinoiser": ClipDinoiser}
    trainable = False
    binary = False
    frozen = ("dinoiser",)

    def __init__(self, dinoiser: ClipDinoiser) -> None:
        super().__init__()
        self.dinoiser, self.config = dinoiser, dinoiser.config
        prompted = self.config.variant in ("text", "global_image")
        self.reads_masks = not prompted or self.config.background_source == "prototype"
        self.negatives: tuple[Float[Tensor, "cells d"], Float[Tensor, " cells"]] | None = None

    @classmethod
    def configure(cls, preset: str, **changes: Any) -> DinoiserConfig:
        """ConfigError for the variant that trains, which is a method of its own."""
        config = super().configure(preset, **changes)
        if config.variant == "finetuned":
            raise ConfigError(
                "variant='finetuned' learns, and 'clip_dinoiser' does not; use the method "
                "'clip_dinoiser_finetuned'"
            )
        return config

    @classmethod
    def build(cls, config: DinoiserConfig, **parts: Any) -> SupportDinoiser:
        return cls(parts["dinoiser"].configured(config))

    @classmethod
    def label(cls, config: DinoiserConfig) -> str:
        return f"{cls.name}+{config.variant}"

    @classmethod
    def guided_by(cls, config: DinoiserConfig) -> Guidance:
        return {"text": "word", "global_image": "image"}.get(config.variant, "mask")

    @classmethod
    def reads_names(cls, config: DinoiserConfig) -> bool:
        return config.variant in ("text", "fusion", "finetuned")

    @torch.no_grad()
    def forward(self, episodes: Episode) -> Prediction:
        require_batch(episodes, type(self).__name__)
        query = self._view(episodes.query_image)
        logits, maps = self.grid_logits(query, episodes)
        chances = logits.softmax(1)
        maps |= {"saliency": query.saliency.sigmoid(), "probabilities": chances}
        if self._refines:
            chances = refine_background(chances, maps["saliency"], self.config.delta)
        full = self.dinoiser.enlarge(chances, episodes.query_mask.shape[-2:])
        return Prediction(full.clamp_min(1e-12).log(), maps)

    @property
    def _refines(self) -> bool:
        config = self.config
        return config.variant == "text" and config.background_source == "word" and config.refine

    @torch.no_grad()
    def add_negatives(
        self, images: UInt8[Tensor, "m 3 h w"], masks: Bool[Tensor, "m h w"] | None = None
    ) -> None:
        """Counter-examples for `centred`: what these pictures show (inside `masks`) is background
        in every episode from now on, beside what was given before.

        Raises:
            ValueError: nothing is inside `masks`, or the settings do not read counter-examples.
        """
        config = self.config
        if config.variant != "centred" or config.background_source != "prototype":
            raise ValueError(
                f"variant={config.variant!r} with background={config.background_source!r} reads no "
                "counter-examples; use variant='centred' with its own background"
            )
        inside = masks if masks is not None else images.new_ones(images[:, 0].shape) > 0
        pooled = self._view(images).pooled
        fitted = self.dinoiser.fit_masks(inside.to(torch.uint8)) == 1
        weights = share(fitted[:, None, None], tuple(pooled.shape[-2:])).flatten()
        if not weights.any():
            raise ValueError("masks: no pixel of any picture is inside; give at least one")
        new = unit(pooled).movedim(1, -1).flatten(0, -2), weights
        old = self.negatives or (new[0][:0], weights[:0])
        self.negatives = torch.cat([old[0], new[0]]), torch.cat([old[1], new[1]])

    def _view(self, images: UInt8[Tensor, "m 3 h w"]) -> DenseView:
        return self.dinoiser.view(self.dinoiser.fit(images))

    def grid_logits(self, query: DenseView, episodes: Episode) -> tuple[Logits, dict[str, Tensor]]:
        """Scores on CLIP's grid, and maps by name."""
        config = self.config
        if config.variant == "text":
            words = self.word_logits(query, episodes)
            return self._with_background(words[:, 1:], query, words, None, episodes), {}
        images, maps = self.image_logits(query, episodes)
        if config.variant != "fusion":
            return images, maps
        words = self.word_logits(query, episodes)
        mixed = config.alpha * words + (1 - config.alpha) * images
        if config.background_source == "prototype":
            return mixed, maps
        return self._with_background(mixed[:, 1:], query, words, None, episodes), maps

    def word_logits(self, query: DenseView, episodes: Episode) -> Logits:
        """Cosines with "background" and the class names, times `temperature`."""
        text = torch.stack(
            [self.dinoiser.text([BACKGROUND, *names]) for names in episodes.class_names]
        )
        return self.config.temperature * cosines(query.pooled, text)

    def image_logits(self, query: DenseView, episodes: Episode) -> tuple[Logits, dict[str, Tensor]]:
        """Cosines with what the supports show, times `image_temperature`, and a background."""
        variant, scale = self.config.variant, self.config.image_temperature
        if variant in ("global_image", "masked_global"):
            classes = scale * cosines(query.pooled, self._global(episodes))
            return self._with_background(classes, query, None, None, episodes), {
                "similarity": classes / scale
            }
        supports = self._supports(episodes)
        if variant == "centred":
            return self._centred(query, supports, episodes)
        prototypes = prototype(supports.features, supports.foreground, self.config.shots)
        classes = scale * cosines(query.pooled, prototypes)
        maps = {"similarity": classes / scale}
        if variant == "correspondence":
            prior = correspondence_prior(query.embedding, supports)
            classes = classes + scale * self.config.correspondence_weight * prior
            maps["correspondence_prior"] = prior
        nowhere = background_prototype(supports, self.config.shots)[:, None]
        rest = scale * cosines(query.pooled, nowhere)
        logits = self._with_background(classes, query, None, rest, episodes)
        if variant == "correspondence" and self.config.smooth_logits:
            logits = weighted_pool(logits, query.correlations)
        return logits, maps

    def _supports(self, episodes: Episode) -> Supports:
        masks = self.dinoiser.fit_masks(episodes.support_masks)
        return Supports.of(self._view(episodes.support_images.flatten(0, 2)), masks)

    def _with_background(
        self,
        classes: Float[Tensor, "b n h w"],
        query: DenseView,
        words: Logits | None,
        prototypes: Float[Tensor, "b 1 h w"] | None,
        episodes: Episode,
    ) -> Logits:
        """Puts the background that the config asks for in front.

        `decoder`: as far below the best class as the cell is salient, so that background wins where
        saliency is at most one half, whatever the classes' scores.
        """
        source = self.config.background_source
        if source == "decoder":
            background = classes.amax(1, keepdim=True) - query.saliency
        elif source == "word":
            words = self.word_logits(query, episodes) if words is None else words
            background = words[:, :1]
        else:
            if prototypes is None:
                nowhere = background_prototype(self._supports(episodes), self.config.shots)
                cosine = cosines(query.pooled, nowhere[:, None])
                prototypes = self.config.image_temperature * cosine
            background = prototypes
        return torch.cat([background, classes], 1)

    def _global(self, episodes: Episode) -> Float[Tensor, "b n d"]:
        """V1 and V2: mean direction of the supports' embeddings."""
        masks, encoder = episodes.support_masks, self.dinoiser.encoder
        images = episodes.support_images.flatten(0, 2)
        side = self.config.global_size
        if self.config.variant == "masked_global":
            inputs = object_crops(encoder.preprocess(images), masks.flatten(0, 2) == 1, side)
        else:
            inputs = self.dinoiser.resized(images, side)
        embedded = unit(self.dinoiser.embed_whole(inputs)).unflatten(0, masks.shape[:3])
        if self.config.variant == "masked_global":  # a shot that shows nothing says nothing
            embedded = embedded * (masks == 1).flatten(3).any(-1)[..., None]
        return unit(embedded.mean(2), -1)

    def _centred(
        self, query: DenseView, supports: Supports, episodes: Episode
    ) -> tuple[Logits, dict[str, Tensor]]:
        """V3b: all seen from the supports' mean, against several backgrounds."""
        scale, shots, mean = self.config.image_temperature, self.config.shots, centre(supports)
        from_mean = unit(unit(query.pooled, 1) - mean[:, :, None, None], 1)
        supports = centred(supports, mean)
        prototypes = prototype(supports.features, supports.foreground, shots)
        classes = scale * cosines(from_mean, prototypes)
        cells = supports.features.movedim(3, -1).flatten(1, -2)  # (b, n k h w, d)
        weights = supports.background.flatten(1)
        centres = spherical_kmeans(cells, weights, self.config.clusters)
        if self.negatives is not None:  # clustered by themselves, or they would drown
            shown, weights = (part.to(mean) for part in self.negatives)
            negatives = unit(shown - mean[:, None], -1)  # (b, cells, d)
            counted = weights.expand(negatives.shape[:2])
            negative_centres = spherical_kmeans(negatives, counted, self.config.clusters)
            centres = torch.cat([centres, negative_centres], 1)
        rest = scale * cosines(from_mean, centres).amax(1, keepdim=True)
        logits = self._with_background(classes, query, None, rest, episodes)
        return logits, {"similarity": classes / scale}


@in_fp32
def cosines(
    features: Float[Tensor, "b d h w"], vectors: Float[Tensor, "b n d"]
) -> Float[Tensor, "b n h w"]:
    """Of every cell with each of its episode's unit vectors; in fp32, also under autocast, because
    temperatures multiply them."""
    return torch.einsum("bdhw,bnd->bnhw", unit(features, 1), vectors)
