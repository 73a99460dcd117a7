"""Typed parameters of what learns without labels: DINO, heads of CLIP-DINOiser, extractors; and of
what answers without supports."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal

from fsslib.config import ConfigError, parse_changes, parse_preset, require_known, require_least
from fsslib.data.protocol import BenchmarkName
from fsslib.encoders import BACKBONES
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.priors.superpixels import SuperpixelConfig
from fsslib.runs.evaluate_config import require_root
from fsslib.runs.machine import require_device
from fsslib.runs.method_config import require_clip
from fsslib.training.precision import Precision
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.dino_recipe import DinoConfig
from fsslib.training.pretraining.moco_recipe import MocoConfig, Queue

LISTED = ("pascal5i", "coco20i")
"""Benchmarks whose train lists an extractor can be pretrained on."""


@dataclass(frozen=True)
class PretrainDinoRunConfig(DinoConfig):
    """Parameters of `pretrain_dino.ipynb`."""

    data: str | None = None
    """Folder of pictures; None: Scenes-10i."""
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_least(self, seed=0, workers=0, validation_scenes=1)
        require_device(self.device)

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
    accumulate: int | None = None
    lr: float | None = None
    background_lr: float | None = None
    drop_at: int | None = None
    gamma: float | None = None
    size: int | None = None
    channels: int | None = None
    kernel: int | None = None
    max_grad_norm: float | None = None
    precision: Precision = "fp32"
    pictures: int | None = None
    seed: int = 0
    validation_pictures: int = 200
    checkpoint_every: int | None = None
    workers: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        require_clip("clip_model", self.clip_model)
        require_least(self, seed=0, workers=0, validation_pictures=1)
        require_device(self.device)
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
class ZeroShotRunConfig:
    """Parameters of `zero_shot.ipynb`: CLIP-DINOiser by words alone, all classes at once."""

    preset: str = "scenes"
    settings: str = ""
    """Changes to it: "pooling=false gamma=0.4"."""
    heads: str = "shipped"
    """A file of `train_dinoiser`, the published checkpoint, "shipped", or "teachers", which asks
    DINO and FOUND instead."""
    clip_model: str = "scenes-clip-vit"
    clip_weights: str = "scenes"
    benchmark: BenchmarkName = "scenes10i"
    root: str | None = None
    split: Literal["train", "val"] = "val"
    pictures: int | None = None
    """The first so many; None: all."""
    background: bool = True
    """Whether it is one of the names (VOC21); without (VOC20) its pixels are left out."""
    device: str = "auto"

    def __post_init__(self) -> None:
        require_clip("clip_model", self.clip_model)
        require_least(self, pictures=1)
        require_device(self.device)
        require_root(self.benchmark, self.root)
        self.dinoiser()

    @property
    def run_name(self) -> str:
        return f"clip_dinoiser+zero_shot/{self.benchmark}_{self.clip_model}"

    def dinoiser(self) -> DinoiserConfig:
        """The settings that `preset` and `settings` describe."""
        changes = parse_changes("settings", self.settings.split())
        return DinoiserConfig.preset(self.preset, **{"variant": "text"} | changes)


@dataclass(frozen=True)
class PretrainMocoRunConfig:
    """Parameters of `pretrain_moco.ipynb`; what is None is as the preset says."""

    preset: str = "scenes"
    name: str | None = None
    """Of the weights that the run leaves; None: `scenes-moco`, or `<backbone>-moco`."""
    data: str | None = None
    """`pascal5i` or `coco20i` (their train lists), or a folder of pictures; None: Scenes-10i."""
    root: str | None = None
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    """Of PASCAL VOC: 5,953 pictures, or the 10,582 that the paper speaks of (`sbd_aug`)."""
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
    precision: Precision = "fp32"
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
        if not re.fullmatch(r"\w[\w.+-]*", self.release):
            raise ConfigError(f"name={self.name!r}: expected a plain name, such as my-moco")
        require_least(self, scenes=1, monitor_pictures=0, seed=0, workers=0, prepare_workers=0)
        require_device(self.device)
        self.segmentation()
        if self.root is not None and self.data not in LISTED:
            raise ConfigError(f"root={self.root!r} is of a benchmark, but data={self.data!r}")
        if self.preset == "scenes" and self.data in LISTED:
            raise ConfigError(
                f"data={self.data!r} with preset='scenes', which is for 96-pixel scenes; use "
                "'auto' (COCO: 'auto_coco'), or 'paper' for the published queues"
            )
        if self.train_list != "sbd" and self.data != "pascal5i":
            raise ConfigError(f"train_list={self.train_list!r} is PASCAL's; data={self.data!r}")

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
        preset, changes = parse_preset("superpixels", self.superpixels or usual)
        return SuperpixelConfig.preset(preset, **changes)

    def training(self) -> MocoConfig:
        """The training settings that these parameters describe."""
        elsewhere = ("preset", "name", "data", "root", "scenes", "superpixels", "settings")
        elsewhere += ("train_list", "monitor_pictures", "prepare_workers", "device")
        given = {k: v for k, v in asdict(self).items() if k not in elsewhere and v is not None}
        changes = parse_changes("settings", self.settings.split())
        if twice := sorted(changes.keys() & given.keys()):
            raise ConfigError(f"settings: {twice} are parameters of their own; give them as such")
        return MocoConfig.preset(self.preset, **given, **changes)
