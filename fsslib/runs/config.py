"""Typed configurations of the run templates: what papermill's parameters become.

A template's `parameters` cell and the dataclass here list the same names. None means "as the
preset of this benchmark or recipe says"; everything that is given wins over the preset.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fsslib.config import ConfigError, strict
from fsslib.data.protocol import BenchmarkName, Protocol
from fsslib.encoders import BACKBONES
from fsslib.methods import BASELINES, METHODS, PFENetConfig
from fsslib.training.clip_recipe import ClipConfig
from fsslib.training.loop import TrainConfig
from fsslib.training.pretrain import PretrainConfig

Selection = Literal["last", "held_out_base", "test_fold"]
NovelInTrain = Literal["background", "drop", "ignore"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Parameters of `evaluate.ipynb`: a method on a protocol, trained elsewhere or not at all."""

    method: str = "prototype"
    preset: str = "scenes"
    backbone: str = "scenes-resnet"
    weights: str = "scenes"
    head: str | None = None
    """Trained head: a `.safetensors` file, or "shipped"."""
    benchmark: BenchmarkName = "scenes10i"
    root: str | None = None
    fold: int = 0
    shot: int = 1
    episodes: int | None = None
    episode_seed: int = 0
    image_size: int | None = None
    minimum_object_pixels: int | None = None
    scarce_classes: Literal["error", "skip"] = "error"
    sampling: Literal["balanced", "image_first"] = "balanced"
    resolution: Literal["original", "resized"] = "original"
    border: Literal["ignore", "background"] = "ignore"
    coco_folds: Literal["interleaved", "contiguous"] = "interleaved"
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    fit: Literal["pad", "stretch"] = "pad"
    novel_in_train: NovelInTrain | None = None
    selection: Selection = "last"
    held_out: int = 0
    batch_size: int = 8
    workers: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        _known("method", self.method, METHODS)
        _known("backbone", self.backbone, sorted(BACKBONES))
        trainable = self.method not in BASELINES
        if trainable:
            PFENetConfig.preset(self.preset)
        if type(self) is EvaluateConfig and trainable != (self.head is not None):
            need = "needs head=: a trained file, or 'shipped'" if trainable else "has no head"
            raise ConfigError(f"head={self.head!r}: method {self.method!r} {need}")
        self.protocol()

    def protocol(self) -> Protocol:
        """The protocol that these parameters describe."""
        names = ("fold", "shot", "sampling", "resolution", "border", "coco_folds")
        names += ("selection", "held_out", "scarce_classes", "train_list", "fit")
        values = {name: getattr(self, name) for name in names}
        for name in ("episodes", "image_size", "minimum_object_pixels", "novel_in_train"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        return Protocol.preset(self.benchmark, seed=self.episode_seed, **values)

    @property
    def run_name(self) -> str:
        """`pfenet/scenes10i_f0_1shot_scenes-resnet`: the folder of runs that belong together."""
        return f"{self.method}/{self.benchmark}_f{self.fold}_{self.shot}shot_{self.backbone}"


@dataclass(frozen=True)
class TrainRunConfig(EvaluateConfig):
    """Parameters of `train.ipynb`: those of the evaluation, and how to train."""

    method: str = "pfenet"
    recipe: str = "scenes"
    seed: int = 0
    steps: int | None = None
    train_batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    clip: float | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    augment: bool | None = None
    validate_every: int | None = None
    validation_episodes: int = 200
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method in BASELINES:
            raise ConfigError(f"method={self.method!r} is training-free; run evaluate instead")
        if self.head is not None:
            raise ConfigError(f"head={self.head!r}: training makes the head; leave it out")
        training = self.training()
        if self.selection != "last" and not training.validate_every:
            raise ConfigError(f"selection={self.selection!r} needs validate_every >= 1")

    def training(self) -> TrainConfig:
        """The training settings that these parameters describe."""
        names = ("steps", "lr", "weight_decay", "clip", "augment", "validate_every")
        values = {name: getattr(self, name) for name in (*names, "checkpoint_every")}
        values["batch_size"] = self.train_batch_size
        given = {name: value for name, value in values.items() if value is not None}
        given |= {"seed": self.seed, "precision": self.precision, "workers": self.workers}
        return TrainConfig.preset(self.recipe, **given)

    @property
    def run_name(self) -> str:
        return f"{super().run_name}_s{self.seed}"


@dataclass(frozen=True)
class PretrainRunConfig(PretrainConfig):
    """Parameters of `pretrain_backbone.ipynb`."""

    device: str = "auto"

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.backbone}_s{self.seed}"

    def training(self) -> PretrainConfig:
        values = asdict(self)
        values.pop("device")
        return PretrainConfig(**values)


@dataclass(frozen=True)
class PretrainClipRunConfig:
    """Parameters of `pretrain_clip.ipynb`."""

    model: str = "scenes-clip-rn"
    data: str | None = None
    """Folder of pictures with .txt captions; None: Scenes-10i."""
    scenes: int = 200_000
    steps: int | None = None
    text_steps: int | None = None
    single_steps: int | None = None
    coarse_steps: int | None = None
    unmasked_steps: int | None = None
    teacher: str | None = None
    """Embedded CLIP to learn from as well; "" for none."""
    patch_dropout: float | None = None
    batch_size: int | None = None
    coarse_size: int | None = None
    size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    warmup: int | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    validation_scenes: int = 1000
    checkpoint_every: int = 100
    workers: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        self.training()

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.model}_s{self.seed}"

    def training(self) -> ClipConfig:
        """The training settings that these parameters describe."""
        elsewhere = ("model", "data", "validation_scenes", "device")
        changes = {k: v for k, v in asdict(self).items() if k not in elsewhere}
        if self.data is not None:
            if self.teacher:
                raise ConfigError(
                    f"teacher={self.teacher!r} knows the words of Scenes-10i only; leave it out "
                    "with data="
                )
            changes["teacher"] = ""
        return ClipConfig.preset(self.model, **changes)


CONFIGS = {
    "train": TrainRunConfig,
    "evaluate": EvaluateConfig,
    "pretrain_backbone": PretrainRunConfig,
    "pretrain_clip": PretrainClipRunConfig,
}
RunConfig = TrainRunConfig | EvaluateConfig | PretrainRunConfig | PretrainClipRunConfig


def parse(template: str, parameters: dict[str, Any]) -> RunConfig:
    """Check every parameter of a template before anything starts; ConfigError names the trouble."""
    _known("template", template, sorted(CONFIGS))
    try:
        return strict(CONFIGS[template], parameters)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def run_id(config: RunConfig) -> str:
    """Eight hexadecimal digits: the same parameters always lead to the same folder."""
    text = json.dumps([type(config).__name__, asdict(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _known(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise ConfigError(f"{name}={value!r}: expected one of {list(known)}")
