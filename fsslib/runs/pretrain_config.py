"""Typed parameters of what comes before the few-shot training: base learners and encoders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from fsslib.config import ConfigError, parse_changes, require_known
from fsslib.data.protocol import BenchmarkName, NovelInTrain, Protocol
from fsslib.encoders import BACKBONES
from fsslib.methods.base_learner import BaseLearnerConfig
from fsslib.priors.superpixels import SuperpixelConfig
from fsslib.training.clip_recipe import ClipConfig
from fsslib.training.dino_recipe import DinoConfig
from fsslib.training.dinoiser_recipe import DinoiserTraining
from fsslib.training.moco_recipe import MocoConfig, Queue
from fsslib.training.pretrain import PretrainConfig
from fsslib.training.recipe import TrainConfig

LISTED = ("pascal5i", "coco20i")
"""Benchmarks whose train lists an extractor can be pretrained on."""


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
    novel_in_train: NovelInTrain | None = None
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
    batch_size: int = 8
    workers: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        require_known("backbone", self.backbone, sorted(BACKBONES))
        BaseLearnerConfig.preset(self.preset)
        self.training()
        self.protocol()

    def protocol(self) -> Protocol:
        """Which pictures and classes are base, and their size."""
        names = ("fold", "coco_folds", "train_list", "held_out")
        values = {name: getattr(self, name) for name in names}
        for name in ("image_size", "novel_in_train"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
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
    naming_from: int | None = None
    fine_steps: int | None = None
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


@dataclass(frozen=True)
class PretrainDinoRunConfig(DinoConfig):
    """Parameters of `pretrain_dino.ipynb`."""

    data: str | None = None
    """Folder of pictures; None: Scenes-10i."""
    device: str = "auto"

    @property
    def run_name(self) -> str:
        return f"pretrain/scenes-dino_s{self.seed}"

    def training(self) -> DinoConfig:
        elsewhere = ("data", "device")
        return DinoConfig(**{k: v for k, v in asdict(self).items() if k not in elsewhere})


@dataclass(frozen=True)
class TrainDinoiserRunConfig:
    """Parameters of `train_dinoiser.ipynb`: CLIP-DINOiser's two heads."""

    recipe: str = "scenes"
    clip_model: str = "scenes-clip-vit"
    clip_weights: str = "scenes"
    dino_weights: str | None = None
    """Of the teacher of correlations: a file; None: `scenes-dino`, or DINO's ViT-B/16."""
    found_head: str | None = None
    """FOUND's `decoder_weights.pt`; None: its training-free seed."""
    data: str | None = None
    """Folder of pictures (1,000 of ImageNet in the paper); None: Scenes-10i."""
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    background_lr: float | None = None
    drop_at: int | None = None
    gamma: float | None = None
    size: int | None = None
    channels: int | None = None
    kernel: int | None = None
    pictures: int | None = None
    seed: int = 0
    validation_pictures: int = 200
    checkpoint_every: int | None = None
    workers: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        self.training()

    @property
    def run_name(self) -> str:
        return f"dinoiser/{self.clip_model}_s{self.seed}"

    def training(self) -> DinoiserTraining:
        """The training settings that these parameters describe."""
        elsewhere = ("recipe", "clip_model", "clip_weights", "dino_weights", "found_head", "data")
        elsewhere += ("validation_pictures", "device")
        given = {k: v for k, v in asdict(self).items() if k not in elsewhere and v is not None}
        return DinoiserTraining.preset(self.recipe, **given)


@dataclass(frozen=True)
class PretrainMocoRunConfig:
    """Parameters of `pretrain_moco.ipynb`; what is None is as the preset says."""

    preset: str = "scenes"
    name: str | None = None
    """Of the weights that the run leaves; None: `scenes-moco`, or `<backbone>-moco`."""
    data: str | None = None
    """`pascal5i` or `coco20i` (their train lists), or a folder of pictures; None: Scenes-10i."""
    root: str | None = None
    scenes: int = 16_384
    superpixels: str | None = None
    """Preset and changes: "scenes_slic n_segments=50"; None: SLIC, of a size with the preset."""
    settings: str = ""
    """Further changes to the preset: "momentum=0.999 draw=area"."""
    backbone: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    size: int | None = None
    local_size: int | None = None
    queue: Queue | None = None
    local_queue: Queue | None = None
    global_weight: float | None = None
    local_weight: float | None = None
    patches: int | None = None
    same_image_negatives: bool | None = None
    fill: Literal["none", "mean"] | None = None
    separate_heads: bool | None = None
    masked_pool: bool | None = None
    bn_splits: int | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    encoder: Literal["key", "query"] = "key"
    seed: int = 0
    monitor_pictures: int = 300
    """Labelled pictures that the features are looked at with; 0: none."""
    monitor_every: int | None = None
    checkpoint_every: int | None = None
    workers: int = 0
    prepare_workers: int = 2
    """Processes that render scenes and make superpixels."""
    device: str = "auto"

    def __post_init__(self) -> None:
        require_known("backbone", self.training().backbone, sorted(BACKBONES))
        self.segmentation()
        if self.root is not None and self.data not in LISTED:
            raise ConfigError(f"root={self.root!r} is of a benchmark, but data={self.data!r}")

    @property
    def release(self) -> str:
        """The name of the weights."""
        backbone = self.training().backbone
        return self.name or (backbone if backbone == "scenes-moco" else f"{backbone}-moco")

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.release}_s{self.seed}"

    def segmentation(self) -> SuperpixelConfig:
        """How pictures become segments."""
        usual = "scenes_slic" if self.preset == "scenes" else "slic"
        preset, *changes = (self.superpixels or usual).split()
        return SuperpixelConfig.preset(preset, **parse_changes("superpixels", changes))

    def training(self) -> MocoConfig:
        """The training settings that these parameters describe."""
        elsewhere = ("preset", "name", "data", "root", "scenes", "superpixels", "settings")
        elsewhere += ("monitor_pictures", "prepare_workers", "device")
        given = {k: v for k, v in asdict(self).items() if k not in elsewhere and v is not None}
        changes = parse_changes("settings", self.settings.split())
        if twice := sorted(changes.keys() & given.keys()):
            raise ConfigError(f"settings: {twice} are parameters of their own; give them as such")
        return MocoConfig.preset(self.preset, **given, **changes)
