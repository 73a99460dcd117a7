"""Typed parameters of what comes before the few-shot training: base learners and encoders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from fsslib.config import ConfigError, require_known, require_least
from fsslib.data.protocol import BenchmarkName, NovelInTrain, Protocol
from fsslib.encoders import BACKBONES
from fsslib.methods.base_learner import BaseLearnerConfig
from fsslib.runs.evaluate_config import require_root
from fsslib.runs.machine import require_device
from fsslib.runs.method_config import require_clip
from fsslib.training.backbone_recipe import PretrainConfig
from fsslib.training.clip_recipe import ClipConfig
from fsslib.training.recipe import TrainConfig


@dataclass(frozen=True)
class BaseLearnerRunConfig:
    """Parameters of `train_base.ipynb`: the base learner of BAM and HDMNet, one for each fold."""

    preset: str = "scenes"
    backbone: str = "scenes-resnet"
    weights: str = "scenes"
    benchmark: BenchmarkName = "scenes10i"
    root: str | None = None
    fold: int = 0
    image_size: int | None = None
    novel_in_train: NovelInTrain = "background"
    """What becomes of novel objects. BAM's code takes them for background, and only so does a base
    learner learn that there are objects it does not know; its few-shot lists drop their pictures
    all the same."""
    coco_folds: Literal["interleaved", "contiguous"] = "interleaved"
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    held_out: int = 0
    """Base classes left out, as in a training with `selection="held_out_base"`."""
    pictures: int = 1000
    """Of the val split, for the score on base classes."""
    recipe: str = "base_scenes"
    seed: int = 0
    steps: int | None = None
    train_batch_size: int | None = None
    lr: float | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    feature_cache: int = 0
    """GiB on disk for what a frozen backbone said of pictures, shared with the other templates."""
    batch_size: int = 8
    workers: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        require_known("backbone", self.backbone, sorted(BACKBONES))
        require_least(self, pictures=1, train_batch_size=1, batch_size=1, feature_cache=0)
        require_device(self.device)
        require_root(self.benchmark, self.root)
        if self.benchmark == "folder":
            raise ConfigError("benchmark='folder' has no base classes, all of them are novel")
        BaseLearnerConfig.preset(self.preset)
        self.training()
        self.protocol()

    def protocol(self) -> Protocol:
        """Which pictures and classes are base, and their size."""
        names = ("fold", "coco_folds", "train_list", "held_out", "novel_in_train")
        values = {name: getattr(self, name) for name in names}
        if self.image_size is not None:
            values["image_size"] = self.image_size
        if self.held_out:
            values["selection"] = "held_out_base"
        return Protocol.preset(self.benchmark, episodes=self.pictures, **values)

    def training(self) -> TrainConfig:
        """The training settings that these parameters describe."""
        values = {"steps": self.steps, "batch_size": self.train_batch_size, "lr": self.lr}
        given = {name: value for name, value in values.items() if value is not None}
        given |= {"seed": self.seed, "precision": self.precision, "workers": self.workers}
        return TrainConfig.preset(self.recipe, **given)

    @property
    def run_name(self) -> str:
        return f"base_learner/{self.benchmark}_f{self.fold}_{self.backbone}_s{self.seed}"


@dataclass(frozen=True)
class PretrainRunConfig:
    """Parameters of `pretrain_backbone.ipynb`; None: the preset's."""

    preset: str = "single"
    """"single" names one object a picture (the weights `scenes`); "local" all objects of scenes of
    one to four, from what single cells say (the weights `scenes-local`)."""
    backbone: str = "scenes-resnet"
    scenes: int | None = None
    steps: int | None = None
    coarse_steps: int | None = None
    batch_size: int | None = None
    size: int | None = None
    coarse_size: int | None = None
    size_jitter: float | None = None
    colour_jitter: float | None = None
    lr: float | None = None
    weight_decay: float | None = None
    warmup: int | None = None
    horizon: int | None = None
    cooldown: int | None = None
    label_smoothing: float | None = None
    precision: Literal["fp32", "bf16"] | None = None
    seed: int = 0
    validation_scenes: int = 2000
    episodes: int = 1000
    """Test episodes of each fold that the card's prototype score is measured on; 0: none."""
    checkpoint_every: int | None = None
    workers: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        require_known("backbone", self.backbone, sorted(BACKBONES))
        require_least(self, episodes=0)
        require_device(self.device)
        self.training()

    @property
    def release(self) -> str:
        """What the weights file is called: by the backbone, and by the preset if it is not the
        first one."""
        return self.backbone if self.preset == "single" else f"{self.backbone}-{self.preset}"

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.release}_s{self.seed}"

    def training(self) -> PretrainConfig:
        """The training settings that these parameters describe."""
        elsewhere = ("preset", "episodes", "device")
        changes = {k: v for k, v in asdict(self).items() if k not in elsewhere}
        return PretrainConfig.preset(self.preset, **changes)


@dataclass(frozen=True)
class PretrainClipRunConfig:
    """Parameters of `pretrain_clip.ipynb`."""

    model: str = "scenes-clip-rn"
    start: str | None = None
    """Weights to go on from: a tag of open_clip, "scenes" (an embedded CLIP's own) or a file; None:
    random ones."""
    data: str | None = None
    """Folder of pictures with .txt captions; None: Scenes-10i."""
    scenes: int = 200_000
    steps: int | None = None
    text_steps: int | None = None
    single_steps: int | None = None
    coarse_steps: int | None = None
    naming_from: int | None = None
    fine_steps: int | None = None
    unmasked_steps: int | None = None
    large_steps: int | None = None
    teacher: str | None = None
    """Embedded CLIP to learn from as well; "" for none."""
    patch_dropout: float | None = None
    batch_size: int | None = None
    coarse_size: int | None = None
    size: int | None = None
    large_size: int | None = None
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
        require_clip("model", self.model)
        require_least(self, validation_scenes=1, weight_decay=0, seed=0, workers=0)
        if self.lr is not None and self.lr <= 0:
            raise ConfigError(f"lr={self.lr}: expected a positive learning rate")
        require_device(self.device)
        self.training()

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.model}_s{self.seed}"

    def training(self) -> ClipConfig:
        """The training settings that these parameters describe."""
        elsewhere = ("model", "start", "data", "validation_scenes", "device")
        changes = {k: v for k, v in asdict(self).items() if k not in elsewhere}
        if self.start is not None and self.text_steps is None:
            changes["text_steps"] = 0  # its words mean something already
        if self.data is not None or self.start is not None:
            if self.teacher:
                raise ConfigError(
                    f"teacher={self.teacher!r} lends its words, which are those of Scenes-10i, to "
                    "a fresh model; leave it out with data= and with start="
                )
            changes["teacher"] = ""
        return ClipConfig.preset(self.model, **changes)
