"""Of which networks a run's method is built, and what of them decides its result."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from fsslib.grammar import split_sources
from fsslib.runs.method_config import MethodGroups
from fsslib.runs.networks import (
    CLIP,
    CLIP_NAMES,
    ClipWeights,
    EncoderConfig,
    PartsConfig,
    Weights,
    proxies_of,
)
from fsslib.runs.required import require_file, require_weights
from fsslib.runs.run_config import class_identity, resolved

if TYPE_CHECKING:  # importing any network takes seconds, which `--help` has no use for
    from fsslib.methods.pi_clip.config import ClipPriorConfig
    from fsslib.methods.words import WordConfig

EMBEDDED_CLIP = {
    "words": "scenes-clip-rn",
    "clip": CLIP,
    "dinoiser": CLIP,
    "dino_words": CLIP,
}
"""The CLIP of each part that has one, where none is named."""


class NetworkGroups(MethodGroups):
    """What the parameters of a method's networks mean; `EvaluateConfig` declares them."""

    words: str
    clip: str | None
    parts: str
    head: str | None
    aliases: ClassVar = MethodGroups.aliases | {"weights": ("backbone", "weights"), **CLIP_NAMES}

    @cached_property
    def backbone_weights(self) -> Weights:
        return Weights.of_backbone("backbone", self.backbone)

    @cached_property
    def trained_parts(self) -> PartsConfig:
        return PartsConfig.parse("parts", self.parts)

    def clip_weights_of(self, part: str) -> ClipWeights:
        """The CLIP of a part, which is one of `EMBEDDED_CLIP`."""
        return ClipWeights.of_clip("clip", self.clip or "", EMBEDDED_CLIP[part])

    @property
    def word_settings(self) -> WordConfig:
        """How a word becomes a mask."""
        from fsslib.methods.words import WordConfig

        return WordConfig.parse("words", self.words)

    @property
    def clip_prior_settings(self) -> ClipPriorConfig | None:
        """The settings of PI-CLIP's priors where they are made, as `prior` says."""
        from fsslib.methods.pi_clip.config import ClipPriorConfig

        for source in self.prior_spec.sources:
            if source.kind.config_class is ClipPriorConfig:
                return source.config(self.preset)
        return None

    @property
    def encoders(self) -> list[tuple[str, str]]:
        """The frozen encoders that are asked, and their weights; two may be of one kind. A proxy of
        CLIP's last attention is one of them."""
        own = [(one.name, one.weights) for one in self.networks]
        return own + [proxy for one in self.networks for proxy in proxies_of(one)]

    @property
    def licences(self) -> list[tuple[str, str | None]]:
        """Of the weights of each of them, and of a map from words to cells, as far as is known."""
        from fsslib.encoders.licences import licence_of, text_map_licence

        named = [(name, licence_of(name, weights)) for name, weights in self.encoders]
        path = self.trained_parts.text_map
        return named + ([("text_map", text_map_licence(path))] if path else [])

    @property
    def networks(self) -> list[Weights | EncoderConfig]:
        """The same with what else their answers depend on."""
        known = {"backbone": lambda: self.backbone_weights}
        known |= {"encoder": lambda: self.encoder_settings}
        known |= {"extractor": lambda: self.trained_parts.prior_extractor}
        known |= {name: lambda name=name: self.clip_weights_of(name) for name in EMBEDDED_CLIP}
        return [known[name]() for name in known if name in self.part_types]

    def typed(self) -> dict[str, Any]:
        """Of the groups what decides a result, and only of those that are read."""
        parts, trained = self.part_types, self.trained_parts
        sources = zip(split_sources(self.prior), self.prior_spec.sources, strict=False)
        return {
            "method": [class_identity("method", self.method), self.method_settings.changed()],
            "prior": [
                [class_identity("prior", text), source.config(self.preset).changed()]
                for text, source in sources
            ],
            "encoders": [
                [class_identity("encoder", one.name), resolved(one.weights), *one.choices]
                for one in self.networks
            ],
            "words": self.word_settings.changed() if "words" in parts else None,
            "base": resolved(trained.base) if "base" in parts else None,
            "heads": resolved(trained.heads) if "dinoiser" in parts else None,
            "dilated": self.backbone_weights.dilated,
            **dict.fromkeys(("backbone", "clip", "parts")),
            **self._of_cells(),
        }

    def _of_cells(self) -> dict[str, Any]:
        """What is read of an encoder of cells, who draws masks, and what leads from words to cells;
        nothing where there is none."""
        about: dict[str, Any] = {}
        if "encoder" in self.part_types:
            about["encoder"] = None  # told among the encoders
        if "masks" in self.part_types:
            about["masks"] = resolved(self.trained_parts.masks)
        if "dino_words" in self.part_types:
            about["text_map"] = resolved(self.trained_parts.text_map or "")
        return about

    def require_files(self) -> None:
        """See `RunConfig.require_files`: of every part, and of nothing that is not read."""
        super().require_files()
        parts, trained = self.part_types, self.trained_parts
        for name, weights in self.encoders:
            require_weights("weights", name, weights)
        if "base" in parts and self.head is None:  # a released head may bring its own
            require_file("base", trained.base, ["shipped"])
        if "dinoiser" in parts:
            require_file("heads", trained.heads, ["shipped", "teachers"])
        if "dino_words" in parts:
            trained.require_text_map()
