"""Which method a run asks, and what its parameters mean."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fsslib.config import ConfigError
from fsslib.grammar import parse_group
from fsslib.methods.base_learner_config import BaseLearnerConfig
from fsslib.methods.registry import METHODS
from fsslib.runs.networks import EncoderConfig
from fsslib.runs.run_config import RunConfig
from fsslib.settings import Settings, suitable_preset

if TYPE_CHECKING:  # importing any network takes seconds, which `--help` has no use for
    from fsslib.methods.base import FewShotSegmenter
    from fsslib.methods.build import PriorSpec, SourceSpec


class MethodGroups(RunConfig):
    """What the parameters of a method mean; `EvaluateConfig` declares them, and those of
    `NetworkGroups`."""

    method: str
    prior: str
    guidance: Literal["mask", "word"] | None
    backbone: str
    encoder: str
    shot: int
    aliases: ClassVar = {"preset": ("method", "preset")}

    @cached_property
    def method_class(self) -> type[FewShotSegmenter]:
        return METHODS.get(parse_group("method", self.method)[0] or "")

    @cached_property
    def encoder_settings(self) -> EncoderConfig:
        return EncoderConfig.parse("encoder", self.encoder)

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
