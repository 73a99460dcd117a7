"""Which method a run asks, and of what it is built."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fsslib.config import ConfigError
from fsslib.grammar import parse_group, split_sources
from fsslib.methods.base_learner_config import BaseLearnerConfig
from fsslib.methods.registry import METHODS
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
from fsslib.runs.run_config import RunConfig, class_identity, resolved
from fsslib.settings import Settings, suitable_preset

if TYPE_CHECKING:  # importing any network takes seconds, which `--help` has no use for
    from fsslib.methods.base import FewShotSegmenter
    from fsslib.methods.build import PriorSpec, SourceSpec
    from fsslib.methods.pi_clip.config import ClipPriorConfig
    from fsslib.methods.words import WordConfig

EMBEDDED_CLIP = {
    "words": "scenes-clip-rn",
    "clip": CLIP,
    "dinoiser": CLIP,
    "dino_words": CLIP,
}
"""The CLIP of each part that has one, where none is named."""


class MethodGroups(RunConfig):
    """What the parameters of a method mean; `EvaluateConfig` declares them."""

    method: str
    prior: str
    guidance: Literal["mask", "word"] | None
    words: str
    backbone: str
    clip: str | None
    encoder: str
    parts: str
    shot: int
    head: str | None
    aliases: ClassVar = {
        "preset": ("method", "preset"),
        "weights": ("backbone", "weights"),
        **CLIP_NAMES,
    }

    @cached_property
    def method_class(self) -> type[FewShotSegmenter]:
        return METHODS.get(parse_group("method", self.method)[0] or "")

    @cached_property
    def prior_spec(self) -> PriorSpec:
        """The sources of the prior; none for the method's own. A baseline that cuts one source has
        that one."""
        from fsslib.methods.build import PriorSpec

        fixed = self.method_class.fixed_prior
        return PriorSpec.parse(fixed if fixed and self.prior == "own" else self.prior)

    @cached_property
    def preset(self) -> str:
        """Of the method's settings: what is named, or what suits the backbone."""
        named = parse_group("method", self.method)[1].get("preset")
        usual = "scenes" if self._on_embedded else self.method_class.usual_preset
        known = {name for kind in self._preset_owners for name in kind.presets()}
        if named is not None and named not in known:
            raise ConfigError(f"preset={named!r}: expected one of {sorted(known)}")
        return named or suitable_preset(self.method_class.config_class, usual)

    @property
    def _on_embedded(self) -> bool:
        """Whether the network that the method reads first is the embedded benchmark's."""
        reads_cells = "encoder" in self.method_class.parts
        return self.encoder_settings.embedded if reads_cells else self.backbone.startswith("scenes")

    @property
    def _preset_owners(self) -> list[type[Settings]]:
        """Configurations that may have a method's preset; a base learner's, because cards of older
        versions name "scenes" or "paper" whatever the method."""
        sources = [source.kind.config_class for source in self.prior_spec.sources]
        return [self.method_class.config_class, *sources, BaseLearnerConfig]

    @cached_property
    def method_settings(self) -> Settings:
        """The method's settings, typed and checked; what other parameters imply is in them."""
        changes = parse_group("method", self.method)[1]
        changes.pop("preset", None)
        known = self.method_class.config_class.__dataclass_fields__
        implied = {"shot": self.shot, "guidance": self.guidance}
        for name, value in implied.items():
            if name in known and value is not None:
                if name in changes:
                    raise ConfigError(f"method={self.method!r}: {name} is a parameter of its own")
                changes[name] = value
        return self.method_class.configure(self.preset, **changes)

    @cached_property
    def part_types(self) -> dict[str, Any]:
        """Names and types of all parts: the method's, its prior's, and those of its guidance."""
        from fsslib.methods.build import parts_of
        from fsslib.methods.words import WordMasks

        parts = parts_of(self.method_class, self.prior_spec)
        return parts | ({"words": WordMasks} if self.word_guided else {})

    @property
    def word_guided(self) -> bool:
        """Whether masks of a word take the place of those that a method reads."""
        own = "guidance" in self.method_class.config_class.__dataclass_fields__
        return self.guidance == "word" and not own

    @property
    def guided_by(self) -> str:
        """What says where a support's object is: `guidance`, or what the method's paper has."""
        return self.guidance or self.method_class.guided_by(self.method_settings)

    @property
    def class_names_read(self) -> bool:
        """Whether the names of an episode's classes are read by anything."""
        if self.word_guided or any(map(self._reads_names, self.prior_spec.sources)):
            return True
        one = self.method_class  # a baseline that cuts one source reads what that source reads
        return one.fixed_prior is None and one.reads_names(self.method_settings)

    def _reads_names(self, source: SourceSpec) -> bool:
        """Whether a source does: PI-CLIP's visual-visual map alone does not."""
        return source.kind.reads_names and getattr(source.config(self.preset), "vtp", True)

    @property
    def supervision(self) -> str:
        """What the head learned from: `gt`, masks of base classes; `pseudo`, masks that words gave;
        `none` without training."""
        if not self.method_class.trainable:
            return "none"
        return getattr(self.method_settings, "supervision", "gt")

    @property
    def label(self) -> str:
        """The method, where its prior comes from, what guides it if that is not what its paper has,
        and whether it learned from pseudo masks: `hdmnet`, `hdmnet+pi_clip`, `panet+word`,
        `lfss+mask`, `lfss+pseudo`."""
        parts = [self.method_class.label(self.method_settings)]
        if not self.method_class.fixed_prior and self.prior_spec.sources:
            parts.append(self.prior_spec.label)
        own = self.method_class.configure(self.preset)
        if self.guidance not in (None, self.method_class.guided_by(own)):
            parts.append(self.guidance)
        if self.supervision == "pseudo":
            parts.append("pseudo")
        return "+".join(parts)

    @cached_property
    def backbone_weights(self) -> Weights:
        return Weights.of_backbone("backbone", self.backbone)

    @cached_property
    def encoder_settings(self) -> EncoderConfig:
        return EncoderConfig.parse("encoder", self.encoder)

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
