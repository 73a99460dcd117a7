"""Whether a state dict fits a network key by key, and networks to ask that of."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fsslib.encoders.clip_loading import load_clip
from fsslib.interop.facts import Facts
from fsslib.interop.parts import COUNTERS, meta_backbone, usual_clip
from fsslib.methods import PriorSource, PriorSpec, build_method, parts_of
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.build import suitable_preset
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors
from fsslib.methods.shapes import OfficialNames, official_name

OURS_ALONE = ("class_ids",)
"""A base learner's file does not say which classes it knows."""
USUAL_BACKBONE, USUAL_EXTRACTOR, USUAL_BASE = "resnet50-v2", "resnet50", (15, 512)


@dataclass(frozen=True)
class Comparison:
    """Keys in the file's spelling."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    shapes: tuple[str, ...]
    matched: int

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unknown or self.shapes)

    @property
    def share(self) -> float:
        """Of all tensors of either side, those that fit each other."""
        every = self.matched + len(self.missing) + len(self.unknown) + len(self.shapes)
        return self.matched / max(every, 1)

    @property
    def nearness(self) -> tuple[bool, float, float]:
        """For ranking: fits; the share of the file that is read (frozen parts of a network may be
        left out of a file); the share of everything."""
        read = self.matched / max(self.matched + len(self.unknown) + len(self.shapes), 1)
        return self.fits, read, self.share

    def __str__(self) -> str:
        parts = {"missing": self.missing, "unknown": self.unknown, "other shapes": self.shapes}
        return ", ".join(f"{name} {list(keys[:8])}" for name, keys in parts.items())


def translated(model: nn.Module, names: OfficialNames) -> dict[str, tuple[str, Tensor]]:
    """The model's tensors by the file's keys, each with our key."""
    return {
        official_name(key, names): (key, value)
        for key, value in model.state_dict().items()
        if key not in OURS_ALONE
    }


def compare(model: nn.Module, state: Mapping[str, Tensor], names: OfficialNames) -> Comparison:
    """What of the model the file lacks, what of the file nothing reads, what has another shape."""
    expected = translated(model, names)
    missing = [k for k in expected.keys() - state.keys() if not k.endswith(COUNTERS)]
    both = sorted(expected.keys() & state.keys())
    shapes = [
        f"{key}: file {tuple(state[key].shape)}, model {tuple(expected[key][1].shape)}"
        for key in both
        if state[key].shape != expected[key][1].shape
    ]
    unknown = sorted(state.keys() - expected.keys())
    return Comparison(
        tuple(sorted(missing)), tuple(unknown), tuple(shapes), len(both) - len(shapes)
    )


def complete(facts: Facts, preset: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Changes to the preset, and the tuples of which the file shows only how long they are."""
    changes, unknown = dict(facts.settings), []
    for name in facts.settings:
        if not facts.counts_only(name):
            continue
        length = changes.pop(name)
        usual = getattr(facts.kind.configure(preset), name)
        if len(usual) != length:
            changes[name] = (usual + usual[-1:] * length)[:length]
            unknown.append(name)
    return changes, tuple(unknown)


def official_preset(facts: Facts) -> str:
    """The preset of the class that is nearest to the released code."""
    return suitable_preset(facts.kind.config_class, "official")


def build(
    facts: Facts,
    class_ids: Sequence[int],
    preset: str | None = None,
    on_meta: bool = False,
    **parts_and_settings: Any,
) -> nn.Module:
    """The network of a state dict, with random weights.

    Args:
        on_meta: for comparing alone: no memory, no numbers drawn.
        parts_and_settings: in place of those that the facts say.
    """
    preset = preset or official_preset(facts)
    settings = complete(facts, preset)[0] | parts_and_settings
    prior = settings.pop("prior", facts.prior or "own")
    with torch.device("meta") if on_meta else contextlib.nullcontext():
        parts = _parts(facts, prior, class_ids, on_meta, settings)
        if issubclass(facts.kind, BaseLearner):
            return parts["base"]
        remaining = {name: value for name, value in settings.items() if name not in parts}
        return build_method(facts.kind, preset=preset, prior=prior, **parts, **remaining)


def _parts(
    facts: Facts,
    prior: str | PriorSource,
    class_ids: Sequence[int],
    on_meta: bool,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Those that the class is built of; where the file does not show one, the released code's."""
    parts = {"backbone": settings.get("backbone") or _backbone(facts)}
    if issubclass(facts.kind, BaseLearner):
        needed = {"base"}
    elif isinstance(prior, PriorSource):
        needed = {*facts.kind.parts}
    else:
        needed = {*parts_of(facts.kind, PriorSpec.parse(prior))}
    makers = {
        "extractor": lambda: _extractor(facts),
        "base": lambda: _base_learner(facts, parts["backbone"], class_ids),
        "clip": lambda: _clip(facts, on_meta),
    }
    for name, make in makers.items():
        if name in needed:
            parts[name] = settings.get(name) or make()
    return parts


def _backbone(facts: Facts) -> nn.Module:
    if facts.backbone is None:
        return meta_backbone(USUAL_BACKBONE, facts.kind.dilated)
    return facts.backbone.make(facts.kind.dilated)


def _extractor(facts: Facts) -> nn.Module:
    if facts.extractor is None:
        return meta_backbone(USUAL_EXTRACTOR)
    return facts.extractor.make(True)


def _base_learner(facts: Facts, backbone: nn.Module, class_ids: Sequence[int]) -> BaseLearner:
    alone = issubclass(facts.kind, BaseLearner)  # else the method's backbone is its own
    config = BaseLearnerConfig.preset(
        "paper", dim=facts.base_dim or USUAL_BASE[1], train_backbone=alone
    )
    learner = BaseLearner(backbone, class_ids, config)
    # On the meta device, too, methods read which classes it knows.
    learner.class_ids = torch.tensor(list(class_ids), dtype=torch.int64, device="cpu")
    return learner


def _clip(facts: Facts, on_meta: bool) -> ClipPriors:
    """Released settings, but no labels of the query."""
    config = ClipPriorConfig.preset("official", candidate_classes="target")
    if not on_meta:
        return ClipPriors(load_clip(facts.clip.name, "random", "bilinear"), config)
    return ClipPriors(facts.clip.make() if facts.clip else usual_clip(), config)
