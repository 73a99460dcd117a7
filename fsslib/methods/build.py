"""From a name and its parts to a method: one loop over what classes say about themselves.

Nobody here knows any method or prior; see `FewShotSegmenter.parts` and `PriorSource.parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fsslib.config import ConfigError
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.stages import StageBackbone
from fsslib.grammar import parse_group, split_sources
from fsslib.methods.base import METHODS, FewShotSegmenter, PriorExtractor
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.mask_makers import MaskMaker
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.prior_guided import PriorGuided
from fsslib.methods.prior_source import PRIORS, CombinedPriors, PriorSource
from fsslib.methods.talk2dino import DinoWords
from fsslib.methods.words import WordMasks
from fsslib.settings import Settings, suitable_preset

PARTS: dict[str, tuple[Any, str]] = {
    "backbone": (StageBackbone, "a frozen network with stage taps, build_backbone(…)"),
    "base": (BaseLearner, "a trained base learner"),
    "clip": (ClipPriors, "ClipPriors(…)"),
    "words": (WordMasks, "WordMasks(…)"),
    "dino_words": (DinoWords, "DinoWords(…), names in a DINO's space"),
    "extractor": (PriorExtractor, "a backbone that was pretrained without labels"),
    "dinoiser": (ClipDinoiser, "ClipDinoiser(…)"),
    "encoder": (GridEncoder, "a frozen encoder of cells, build_grid_encoder(…)"),
    "masks": (MaskMaker, "who draws masks of points, build_mask_maker(…)"),
}
"""Parts that the package's methods and priors are built of: type, and what it is in words. Those of
other classes can be of any type."""


@dataclass(frozen=True)
class SourceSpec:
    """One prior source and its settings."""

    kind: type[PriorSource]
    preset: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, method_preset: str) -> Settings:
        """Its settings; without a preset of its own that of the method, where it has such a one."""
        preset = self.preset or suitable_preset(self.kind.config_class, method_preset)
        return self.kind.config_class.preset(preset, **self.changes)


@dataclass(frozen=True)
class PriorSpec:
    """What `prior=` says: the method's own (no sources), or one or several sources."""

    sources: tuple[SourceSpec, ...] = ()

    @classmethod
    def parse(cls, text: str) -> PriorSpec:
        """`"own"`, `"none"`, `"pi_clip vvp=false"`, `"pi_clip+region preset=paper dim=32"`.

        Raises:
            ConfigError: an unknown source, or changes that are no changes.
        """
        if text.strip() == "own":
            return cls()
        sources = []
        for part in split_sources(text):
            name, changes = parse_group("prior", part)
            preset = changes.pop("preset", None)
            sources.append(SourceSpec(PRIORS.get(name or ""), preset, changes))
        return cls(tuple(sources))

    @property
    def label(self) -> str:
        """`pi_clip+region`; empty for the method's own."""
        return "+".join(source.kind.name for source in self.sources)


def parts_of(kind: type[FewShotSegmenter], prior: PriorSpec | None = None) -> dict[str, Any]:
    """Names and types of everything that a method with this prior is built of.

    Raises:
        ConfigError: a prior for a method that reads none.
    """
    if not issubclass(kind, PriorGuided):
        if prior is not None and prior.label not in ("", kind.fixed_prior):
            raise ConfigError(f"prior={prior.label!r}: method {kind.name!r} reads no prior")
        return dict(kind.parts)
    if prior is None or not prior.sources:
        return {**kind.parts, **kind.own_prior_parts}
    parts = dict(kind.parts)
    for source in prior.sources:
        parts |= source.kind.parts
    return parts


def build_prior(
    prior: PriorSpec, kind: type[PriorGuided], parts: Mapping[str, Any], preset: str = "paper"
) -> PriorSource | None:
    """The source or the sources of `prior`; None for the method's own."""
    made = [
        source.kind.build(
            source.config(preset),
            kind.prior_options.get(source.kind.name, {}),
            **{name: parts[name] for name in source.kind.parts},
        )
        for source in prior.sources
    ]
    if not made:
        return None
    return made[0] if len(made) == 1 else CombinedPriors(made)


def build_method(
    method: str | type[FewShotSegmenter],
    backbone: StageBackbone | None = None,
    preset: str | None = None,
    prior: str | PriorSource = "own",
    **parts_and_settings: Any,
) -> FewShotSegmenter:
    """A method of its parts.

    Args:
        method: a name of `METHODS`, `module:Class`, or a class.
        backbone: for methods that read one.
        preset: of the method's settings; None: what it usually has ("paper"), or the first.
        prior: for methods that read one: a name of `PRIORS`, several joined by "+", each with
            changes to its settings, "own"; or a source that is built already.
        parts_and_settings: further parts by name (`PARTS`, and what the class declares), and
            changes to the preset; these are checked by name and type.

    Raises:
        ConfigError: unknown names, a part that is missing, or one that nobody reads.
    """
    kind = METHODS.get(method)
    built = prior if isinstance(prior, PriorSource) else None
    spec = PriorSpec() if built is not None else PriorSpec.parse(prior)
    needed = dict(kind.parts) if built is not None else parts_of(kind, spec)
    names = {*PARTS, *needed}
    named_parts = {k: v for k, v in parts_and_settings.items() if k in names and v is not None}
    settings = {k: v for k, v in parts_and_settings.items() if k not in names}
    parts = _complete(kind, spec, needed, {"backbone": backbone, **named_parts})
    chosen = preset or suitable_preset(kind.config_class, kind.usual_preset)
    config = kind.configure(chosen, **settings)
    if not issubclass(kind, PriorGuided):
        if built is not None:
            raise ConfigError(f"prior={built.name!r}: method {kind.name!r} reads no prior")
        return build_of(kind, config, parts)
    return build_of(kind, config, parts, built or build_prior(spec, kind, parts, chosen))


def build_of(
    kind: type[FewShotSegmenter],
    config: Settings,
    parts: Mapping[str, Any],
    prior: PriorSource | None = None,
) -> FewShotSegmenter:
    """A method of those of the parts that it declares; with its own prior where `prior` is None."""
    if not issubclass(kind, PriorGuided):
        return kind.build(config, **{name: parts[name] for name in kind.parts})
    own = {**kind.parts, **({} if prior else kind.own_prior_parts)}
    return kind.build(config, prior=prior, **{name: parts[name] for name in own})


def _complete(
    kind: type[FewShotSegmenter],
    prior: PriorSpec,
    needed: dict[str, Any],
    available: dict[str, Any],
) -> dict[str, Any]:
    """The parts that are needed; ConfigError for one that is missing or read by nobody."""
    who = f"method={kind.name!r}" + (f" with prior={prior.label!r}" if prior.sources else "")
    for name, expected in needed.items():
        if available.get(name) is None:
            words = PARTS.get(name, (expected, getattr(expected, "__name__", str(expected))))[1]
            raise ConfigError(f"{who} needs {name}=, {words}")
        bare = getattr(expected, "__supertype__", expected)
        if isinstance(bare, type) and not isinstance(available[name], bare):
            actual = type(available[name]).__name__
            raise ConfigError(f"{who}: {name} is a {actual}; expected a {bare.__name__}")
    unread = [name for name in available if name not in needed and name != "backbone"]
    if unread:
        raise ConfigError(f"{who} does not read {unread[0]}=; leave it out")
    return {name: available[name] for name in needed}
