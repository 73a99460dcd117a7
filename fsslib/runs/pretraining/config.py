"""Typed parameters of what comes before the few-shot training: base learners and encoders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from fsslib.config import ConfigError
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.data.protocol import Protocol
from fsslib.data.registry import require_root
from fsslib.grammar import parse_preset
from fsslib.methods.base_learner_config import BaseLearnerConfig
from fsslib.runs.evaluate_config import protocol_group
from fsslib.runs.machine_config import MachineConfig
from fsslib.runs.networks import ClipWeights, Weights
from fsslib.runs.required import (
    require_benchmark,
    require_device_for,
    require_folder,
    require_weights,
)
from fsslib.runs.run_config import RunConfig, identity, plain_name, resolved
from fsslib.runs.train_config import training_config
from fsslib.settings import Count, Fold, Natural, of_parameter
from fsslib.training.pretraining.backbone_recipe import PretrainConfig
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.recipe import TrainConfig
from fsslib.training.rules import COMPARES


@dataclass(frozen=True)
class BaseLearnerRunConfig(RunConfig):
    """Parameters of `train_base.ipynb`: the base learner of BAM and HDMNet, one for each fold."""

    learner: str = "scenes"
    """Preset of the base learner, and changes to it: "paper dim=256"."""
    backbone: str = "scenes-resnet"
    """Network and weights: "resnet50-v2 weights=FILE"."""
    protocol: str = "scenes10i"
    """Benchmark, and changes to its protocol. Novel objects are background unless it says
    otherwise: BAM's code takes them for it, and only so does a base learner learn that there are
    objects it does not know; its few-shot lists drop their pictures all the same."""
    root: str | None = None
    """Folder of the benchmark; none for scenes10i."""
    fold: Fold = 0
    """Whose base classes it learns: 0 to 3."""
    pictures: Count = 1000
    """Of the val split, for the score on base classes."""
    recipe: str = "base_scenes"
    """Training recipe, and changes to it: "base lr=1e-3"."""
    seed: Natural = 0
    """Of initial weights and pictures."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=4 feature_cache=40"."""

    groups: ClassVar = {
        "machine": MachineConfig,
        "protocol": Protocol,
        "recipe": TrainConfig,
        "learner": BaseLearnerConfig,
    }
    aliases: ClassVar = {
        "preset": ("learner", None),
        "weights": ("backbone", "weights"),
        "benchmark": ("protocol", None),
        "train_batch_size": ("recipe", "batch_size"),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        protocol = self.base_protocol
        require_root(protocol.benchmark, self.root)
        BENCHMARKS.get(protocol.benchmark).require_base(self.root)
        # Checked by being read.
        _ = self.machine_config, self.training, self.learner_settings, self.backbone_weights

    @cached_property
    def base_protocol(self) -> Protocol:
        """Which pictures and classes are base, and their size."""
        benchmark, changes = protocol_group(self.protocol, "fold", "episodes")
        if changes.get("held_out"):
            changes.setdefault("selection", "held_out_base")
        unread = sorted(changes.keys() & {"way", "shot", "sampling", "query_labels"})
        if unread:
            raise ConfigError(
                f"protocol={self.protocol!r}: a base learner has no episodes and reads no "
                f"{unread[0]}; leave it out"
            )
        changes = {"novel_in_train": "background"} | changes
        with of_parameter("protocol"):
            return Protocol.preset(benchmark, **changes, fold=self.fold, episodes=self.pictures)

    @cached_property
    def training(self) -> TrainConfig:
        """The training settings that these parameters describe."""
        return training_config(self.recipe, self.seed, self.machine_config.loaders)

    def require_files(self) -> None:
        super().require_files()
        chosen = self.backbone_weights
        require_weights("weights", chosen.name, chosen.weights)
        require_benchmark(self.base_protocol.benchmark, self.root)
        require_device_for(self.machine_config.device, self.training.precision)

    @property
    def learner_settings(self) -> BaseLearnerConfig:
        return BaseLearnerConfig.parse("learner", self.learner)

    @property
    def backbone_weights(self) -> Weights:
        return Weights.of_backbone("backbone", self.backbone)

    @property
    def run_name(self) -> str:
        protocol, name = self.base_protocol, plain_name(self.backbone_weights.name)
        return f"base_learner/{protocol.benchmark}_f{self.fold}_{name}_s{self.seed}"

    def typed(self) -> dict[str, Any]:
        backbone = self.backbone_weights
        return {
            "learner": self.learner_settings.changed(),
            "backbone": [backbone.name, resolved(backbone.weights)],
            "protocol": self.base_protocol.changed(),
            "recipe": identity(self.training),
            "root": BENCHMARKS.get(self.base_protocol.benchmark).identity(self.root),
        }


class PretrainingRun(RunConfig):
    """What the pretrainings have in common."""

    seed: int

    def own_recipe(self, kind: Any, **others: Any) -> Any:
        """The recipe with the parameters that are not part of its text, and with `others`."""
        name, changes = parse_preset("recipe", self.recipe)
        if "seed" in changes:
            raise ConfigError(f"recipe={self.recipe!r}: seed is a parameter of its own")
        with of_parameter("recipe"):
            made = kind.preset(name, **changes | others, seed=self.seed)
        workers = self.machine_config.workers
        return made if workers is None else replace(made, workers=workers)

    def require_files(self) -> None:
        super().require_files()
        require_folder("data", getattr(self, "data", None))
        require_device_for(self.machine_config.device, self.training.precision)

    def typed(self) -> dict[str, Any]:
        return {"recipe": identity(self.training)}


@dataclass(frozen=True)
class PretrainRunConfig(PretrainingRun):
    """Parameters of `pretrain_backbone.ipynb`: the embedded backbone learns to name objects."""

    recipe: str = "scenes"
    """`scenes` (several objects a picture), `single` (one), and changes: "scenes steps=1000"."""
    episodes: Natural = 1000
    """Test episodes of each fold that the card's prototype score is measured on; 0: none."""
    seed: Natural = 0
    """Of initial weights and pictures."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=8"."""

    groups: ClassVar = {"recipe": PretrainConfig, "machine": MachineConfig}

    def __post_init__(self) -> None:
        super().__post_init__()
        from fsslib.encoders.backbones import require_backbone

        require_backbone(self.training.backbone)

    @cached_property
    def training(self) -> PretrainConfig:
        return self.own_recipe(PretrainConfig)

    @property
    def recipe_name(self) -> str:
        return parse_preset("recipe", self.recipe)[0]

    @property
    def release(self) -> str:
        """What the weights are called: by the backbone, and by the recipe if it is another."""
        name, backbone = self.recipe_name, self.training.backbone
        return backbone if name == "scenes" else f"{backbone}-{name}"

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.release}_s{self.seed}"


@dataclass(frozen=True)
class PretrainClipRunConfig(PretrainingRun):
    """Parameters of `pretrain_clip.ipynb`: a CLIP, from pictures with captions."""

    recipe: str = "scenes-clip-rn"
    """An embedded CLIP or an architecture of open_clip, and changes to its recipe."""
    start: str | None = None
    """Weights to go on from: a tag of open_clip, "scenes" (an embedded CLIP's own) or a file; None:
    random ones."""
    data: str | None = None
    """Folder of pictures with .txt captions; None: Scenes-10i."""
    validation_scenes: Count = 1000
    """Held-out scenes for the zero-shot scores."""
    seed: Natural = 0
    """Of initial weights and pictures."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=8"."""

    alone: ClassVar = COMPARES
    groups: ClassVar = {"recipe": ClipConfig, "machine": MachineConfig}
    aliases: ClassVar = {"model": ("recipe", None)}

    def __post_init__(self) -> None:
        super().__post_init__()
        from fsslib.encoders.clip_small import SMALL_CLIPS

        ClipWeights.of_clip("model", parse_preset("recipe", self.recipe)[0])
        _ = self.training, self.machine_config  # checked by being read
        if self.data is not None:
            self.require_unchanged("validation_scenes", f"data={self.data!r} has no scenes")
        if (teacher := self.training.teacher) and teacher not in SMALL_CLIPS:
            raise ConfigError(f"teacher={teacher!r}: expected one of {sorted(SMALL_CLIPS)}")

    def require_files(self) -> None:
        super().require_files()
        require_weights("start", self.model, self.start)

    @property
    def model(self) -> str:
        return self.training.model

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.model}_s{self.seed}"

    @cached_property
    def training(self) -> ClipConfig:
        """The training settings that these parameters describe."""
        changes, elsewhere = parse_preset("recipe", self.recipe)[1], {}
        if self.start is not None and "text_steps" not in changes:
            elsewhere["text_steps"] = 0  # its words mean something already
        if self.data is not None or self.start is not None:
            if changes.get("teacher"):
                raise ConfigError(
                    f"teacher={changes['teacher']!r} lends its words, which are those of "
                    "Scenes-10i, to a fresh model; leave it out with data= and with start="
                )
            elsewhere["teacher"] = ""
        # At once, for what does not go with a teacher does without one.
        return self.own_recipe(ClipConfig, **elsewhere)
