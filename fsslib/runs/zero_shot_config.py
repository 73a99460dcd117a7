"""Typed parameters of what answers without supports, by words alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fsslib.config import ConfigError
from fsslib.data.protocol import Protocol
from fsslib.data.registry import require_root
from fsslib.grammar import parse_preset
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.runs.evaluate_config import protocol_group
from fsslib.runs.machine_config import MachineConfig
from fsslib.runs.networks import CLIP, CLIP_NAMES, ClipWeights
from fsslib.runs.required import require_benchmark, require_file, require_weights
from fsslib.runs.run_config import RunConfig, resolved
from fsslib.settings import Count, of_parameter

if TYPE_CHECKING:
    from fsslib.evaluation.vocabulary import VocabularyConfig


@dataclass(frozen=True)
class ZeroShotRunConfig(RunConfig):
    """Parameters of `zero_shot.ipynb`: CLIP-DINOiser, or CLIP, by words alone, all classes at
    once."""

    dinoiser: str = "scenes"
    """Preset of CLIP-DINOiser, and changes to it: "scenes pooling=false gamma=0.4"."""
    heads: str = "shipped"
    """A file of `train_dinoiser`, the published checkpoint, "shipped", or "teachers", which asks
    DINO and FOUND instead."""
    clip: str = CLIP
    """CLIP and its weights: "ViT-B-16-quickgelu weights=openai"."""
    protocol: str = "scenes10i"
    """Benchmark, whose pictures are read."""
    root: str | None = None
    """Folder of the benchmark; none for scenes10i."""
    split: Literal["train", "val"] = "val"
    """Which pictures."""
    pictures: Count | None = None
    """The first so many; None: all."""
    background: bool = True
    """Whether it is one of the names (VOC21); without (VOC20) its pixels are left out."""
    vocabulary: str | None = None
    """CLIP alone in place of CLIP-DINOiser, by NACLIP's protocol or another of its line, and
    changes to it: "naclip threshold=0.2", "scenes"."""
    machine: str = "auto"
    """Device: auto, cpu, cuda."""

    alone: ClassVar = "one process slides over all pictures"
    groups: ClassVar = {"machine": MachineConfig, "protocol": Protocol}
    aliases: ClassVar = CLIP_NAMES | {
        "preset": ("dinoiser", None),
        "benchmark": ("protocol", None),
    }
    merged: ClassVar = {"settings": "dinoiser"}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_root(self.read_protocol.benchmark, self.root)
        _ = self.machine_config, self.clip_weights, self.dinoiser_settings  # checked by being read
        if self.vocabulary_settings is not None:
            for name in ("dinoiser", "heads"):
                self.require_unchanged(name, f"vocabulary={self.vocabulary!r} asks CLIP alone")

    @property
    def clip_weights(self) -> ClipWeights:
        return ClipWeights.of_clip("clip", self.clip)

    @cached_property
    def read_protocol(self) -> Protocol:
        benchmark, changes = protocol_group(self.protocol)
        if unread := sorted(changes.keys() - {"train_list"}):
            raise ConfigError(
                f"protocol={self.protocol!r}: zero_shot asks about all classes of whole pictures "
                f"and reads no {unread[0]}; leave it out"
            )
        with of_parameter("protocol"):
            return Protocol.preset(benchmark, **changes)

    def require_files(self) -> None:
        super().require_files()
        require_weights("clip_weights", self.clip_weights.name, self.clip_weights.weights)
        require_file("heads", self.heads, ["shipped", "teachers"])
        require_benchmark(self.read_protocol.benchmark, self.root)

    @property
    def dinoiser_settings(self) -> DinoiserConfig:
        preset, changes = parse_preset("dinoiser", self.dinoiser)
        with of_parameter("dinoiser"):
            return DinoiserConfig.preset(preset, **{"variant": "text"} | changes)

    @property
    def vocabulary_settings(self) -> VocabularyConfig | None:
        """CLIP's own protocol, where it is asked alone."""
        if self.vocabulary is None:
            return None
        from fsslib.evaluation.vocabulary import VocabularyConfig

        return VocabularyConfig.parse("vocabulary", self.vocabulary)

    @property
    def run_name(self) -> str:
        method = "clip_dinoiser" if self.vocabulary is None else "clip"
        return f"{method}+zero_shot/{self.read_protocol.benchmark}_{self.clip_weights.name}"

    def typed(self) -> dict[str, Any]:
        clip, words = self.clip_weights, self.vocabulary_settings
        return {
            "dinoiser": self.dinoiser_settings.changed() if words is None else None,
            "protocol": self.read_protocol.changed(),
            "clip": [clip.name, resolved(clip.weights), *clip.choices],
            "heads": resolved(self.heads) if words is None else None,
        } | ({} if words is None else {"vocabulary": words.changed()})
