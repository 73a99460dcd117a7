"""What a checkpoint is: which methods it fits, with which settings, and what it does not say.

Each class that knows its released code's spelling is built on the meta device as the file's shapes
suggest, and compared key by key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from fsslib.interop.base_classes import benchmark_of, counted
from fsslib.interop.checkpoint import Checkpoint, read_checkpoint
from fsslib.interop.facts import Facts, Kind, facts_of, official_kinds
from fsslib.interop.fitting import USUAL_BASE, Comparison, build, compare, complete, official_preset
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner

# Loading leaves these out: PSPNet lists its backbone twice; PI-CLIP's test adds a table to its
# CLIP; HSNet keeps the classifier of its backbone.
UNUSED = re.compile(
    r"encoder\.\d|clip_model\.visual\.positional_embedding_new$|backbone\.(fc|classifier)\."
)


@dataclass(frozen=True)
class Candidate:
    """A class that a checkpoint may be of, and how far it is."""

    facts: Facts = field(repr=False)
    comparison: Comparison = field(repr=False)
    unknown_settings: tuple[str, ...] = ()
    """Tuples of another length than usual, whose values the file does not show."""

    @property
    def kind(self) -> Kind:
        return self.facts.kind

    @property
    def method(self) -> str:
        """Name in the registry; "base_learner" for the part of BAM and HDMNet."""
        return self.kind.name or "base_learner"

    @property
    def backbone(self) -> str | None:
        """As `build_backbone` knows it; None for one that it does not know, or none at all."""
        return self.facts.backbone.name or None if self.facts.backbone else None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that show, tuples that are only counted left out."""
        counted_only = self.facts.counts_only
        return {k: v for k, v in self.facts.settings.items() if not counted_only(k)}

    @property
    def shot(self) -> int:
        return self.facts.settings.get("shot", 1)

    @property
    def prior(self) -> str:
        return self.facts.prior

    @property
    def classes(self) -> int | None:
        """Number of base classes."""
        return self.facts.classes

    @property
    def benchmark(self) -> str | None:
        """Whose folds have so many base classes."""
        return None if self.classes is None else benchmark_of(self.classes)

    @property
    def fits(self) -> bool:
        return self.comparison.fits

    @property
    def brings(self) -> tuple[str, ...]:
        """The parts whose weights are in the file."""
        facts = self.facts
        held = {"backbone": facts.backbone, "extractor": facts.extractor, "clip": facts.clip}
        base = ("base",) if facts.classes is not None and self.kind is not BaseLearner else ()
        return (*(name for name, part in held.items() if part), *base)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a user has to know, because the file does not say it."""
        usual = self.kind.configure(official_preset(self.facts))
        lacking = [
            f"the values of {name}="
            + (f" (taken: {getattr(usual, name)})" if name not in self.unknown_settings else "")
            for name in self.facts.settings
            if self.facts.counts_only(name)
        ]
        if self.facts.backbone is not None and not self.facts.backbone.name:
            lacking.append(f"a name for its backbone, {self.facts.backbone.words}")
        if self.classes is not None:
            lacking.append(f"the ids of its {counted(self.classes)}: give fold= or class_ids=")
        if self.facts.clip is not None and not self.facts.clip.name:
            lacking.append(f"a name for its CLIP, {self.facts.clip.words}: give clip=")
        return tuple(lacking)

    @property
    def words(self) -> str:
        """Method and settings in a line."""
        return f"{self.method}: " + ", ".join(self.facts.described().values())


@dataclass(frozen=True)
class OfficialFile:
    """A checkpoint and the classes that it may be of, the nearest first."""

    checkpoint: Checkpoint = field(repr=False)
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    @property
    def fitting(self) -> tuple[Candidate, ...]:
        """Those that it fits, every key."""
        return tuple(candidate for candidate in self.candidates if candidate.fits)


def infer(checkpoint: Path | str | Mapping[str, Any] | Checkpoint) -> OfficialFile:
    """What a checkpoint is, by its keys and shapes; a file's values are not read.

    Raises:
        WeightsError: a file that cannot be read, or one without tensors.
    """
    held = read_checkpoint(checkpoint, shapes_only=True)
    state = used(held.state)
    candidates = [
        candidate for kind in official_kinds() if (candidate := candidate_of(kind, state))
    ]
    ranked = sorted(candidates, key=lambda each: each.comparison.nearness, reverse=True)
    return OfficialFile(held, tuple(ranked))


def used(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what released files hold twice, or by mistake."""
    return {key: value for key, value in state.items() if not UNUSED.match(key)}


def candidate_of(kind: Kind, state: Mapping[str, Tensor]) -> Candidate | None:
    """A state dict, in the released code's spelling, read as one of `kind`; None where what shows
    of its settings makes no network."""
    facts = facts_of(kind, state)
    try:
        unknown = complete(facts, official_preset(facts))[1]
        model = on_meta(facts)
    except ValueError:
        return None
    return Candidate(facts, compare(model, state, facts.names), unknown)


def on_meta(facts: Facts, preset: str | None = None) -> FewShotSegmenter:
    """The network that a state dict seems to be of, for comparing."""
    ids = range(1, (facts.classes or USUAL_BASE[0]) + 1)
    return build(facts, ids, preset, on_meta=True)
