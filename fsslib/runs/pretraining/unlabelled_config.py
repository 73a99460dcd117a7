"""Typed parameters of what learns without labels: DINO, heads of CLIP-DINOiser, extractors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fsslib.config import ConfigError, require_known
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.grammar import parse_preset
from fsslib.runs.machine_config import MachineConfig
from fsslib.runs.networks import CLIP, CLIP_NAMES, ClipWeights
from fsslib.runs.pretraining.config import PretrainingRun
from fsslib.runs.required import (
    require_benchmark,
    require_device_for,
    require_file,
    require_weights,
)
from fsslib.settings import Count, Natural
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.dino_recipe import DinoConfig
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.rules import COMPARES

if TYPE_CHECKING:
    from fsslib.priors.superpixels import SuperpixelConfig


@dataclass(frozen=True)
class PretrainDinoRunConfig(PretrainingRun):
    """Parameters of `pretrain_dino.ipynb`: a DINO, from pictures without labels."""

    recipe: str = "scenes"
    """Recipe, and changes to it: "scenes steps=1000"."""
    data: str | None = None
    """Folder of pictures; None: Scenes-10i."""
    seed: Natural = 0
    """Of initial weights and crops."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=8"."""

    groups: ClassVar = {"recipe": DinoConfig, "machine": MachineConfig}

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.training  # checked by being read

    @cached_property
    def training(self) -> DinoConfig:
        return self.own_recipe(DinoConfig)

    @property
    def run_name(self) -> str:
        return f"pretrain/scenes-dino_s{self.seed}"


@dataclass(frozen=True)
class TrainDinoiserRunConfig(PretrainingRun):
    """Parameters of `train_dinoiser.ipynb`: CLIP-DINOiser's two heads."""

    recipe: str = "scenes"
    """Recipe, and changes to it: "official steps=1000"."""
    clip: str = CLIP
    """CLIP and its weights: "ViT-B-16-quickgelu weights=openai"."""
    dino_weights: str | None = None
    """Of the teacher of correlations: a file; None: `scenes-dino`, or DINO's ViT-B/16."""
    found_head: str | None = None
    """FOUND's `decoder_weights.pt`; None: its training-free seed."""
    data: str | None = None
    """Folder of pictures (1,000 of ImageNet in the paper); None: Scenes-10i."""
    validation_pictures: Count = 200
    """For the zero-shot scores."""
    seed: Natural = 0
    """Of initial weights and crops."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=8"."""

    groups: ClassVar = {"recipe": DinoiserTraining, "machine": MachineConfig}
    aliases: ClassVar = CLIP_NAMES

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.training, self.clip_weights  # checked by being read

    def require_files(self) -> None:
        super().require_files()
        require_weights("clip_weights", self.clip_weights.name, self.clip_weights.weights)
        require_file("dino_weights", self.dino_weights, ["scenes", "dino", "random"])
        require_file("found_head", self.found_head)

    @cached_property
    def training(self) -> DinoiserTraining:
        return self.own_recipe(DinoiserTraining)

    @property
    def clip_weights(self) -> ClipWeights:
        return ClipWeights.of_clip("clip", self.clip)

    @property
    def run_name(self) -> str:
        return f"dinoiser/{self.clip_weights.name}_s{self.seed}"


@dataclass(frozen=True)
class PretrainMocoRunConfig(PretrainingRun):
    """Parameters of `pretrain_moco.ipynb`: QGNet's extractor, from pictures without labels."""

    recipe: str = "scenes"
    """Recipe, and changes to it: "auto epochs=100 momentum=0.999"."""
    name: str | None = None
    """Of the weights that the run leaves; None: `scenes-moco`, or `<backbone>-moco`."""
    data: str | None = None
    """`pascal5i` or `coco20i` (their train lists), or a folder of pictures; None: Scenes-10i."""
    root: str | None = None
    """Folder of a benchmark."""
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    """Of PASCAL VOC: 5,953 pictures, or the 10,582 that the paper speaks of (`sbd_aug`)."""
    scenes: Count = 16_384
    """Rendered scenes, where there is no `data`."""
    superpixels: str | None = None
    """Preset and changes: "scenes_slic n_segments=50"; None: SLIC, of a size with the preset."""
    monitor_pictures: Natural = 300
    """Labelled pictures that the features are looked at with; 0: none."""
    seed: Natural = 0
    """Of initial weights and views."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=8 prepare_workers=8"."""

    alone: ClassVar = COMPARES
    groups: ClassVar = {"recipe": MocoConfig, "machine": MachineConfig}
    aliases: ClassVar = {"preset": ("recipe", None)}
    merged: ClassVar = {"settings": "recipe"}

    def __post_init__(self) -> None:
        super().__post_init__()
        from fsslib.encoders.backbones import BACKBONES

        require_known("backbone", self.training.backbone, sorted(BACKBONES))
        if not re.fullmatch(r"\w[\w.+-]*", self.release):
            raise ConfigError(f"name={self.name!r}: expected a plain name, such as my-moco")
        _ = self.machine_config, self.segmentation()  # checked by being read
        if self.root is not None and not self.listed:
            raise ConfigError(f"root={self.root!r} is of a benchmark, but data={self.data!r}")
        if self.preset == "scenes" and self.listed:
            raise ConfigError(
                f"data={self.data!r} with recipe='scenes', which is for 96-pixel scenes; use "
                "'auto' (COCO: 'auto_coco'), or 'paper' for the published queues"
            )
        if self.train_list != "sbd" and "train_list" not in self._benchmark_reads:
            raise ConfigError(f"train_list={self.train_list!r} is PASCAL's; data={self.data!r}")
        if self.data is not None:
            self.require_unchanged("scenes", f"pictures are those of data={self.data!r}")

    @property
    def listed(self) -> bool:
        """Whether `data` is a benchmark on disk, whose train list is learned from."""
        return self.data in BENCHMARKS.names() and not BENCHMARKS.get(self.data).rendered

    def require_files(self) -> None:
        """Its `data` may name a benchmark."""
        if not self.listed:
            super().require_files()
            return
        require_benchmark(self.data, self.root)
        require_device_for(self.machine_config.device, self.training.precision)

    @property
    def _benchmark_reads(self) -> tuple[str, ...]:
        return BENCHMARKS.get(self.data).reads if self.listed else ()

    @property
    def preset(self) -> str:
        """The recipe's name."""
        return parse_preset("recipe", self.recipe)[0]

    @property
    def release(self) -> str:
        """The name of the weights."""
        backbone = self.training.backbone
        return self.name or (backbone if backbone == "scenes-moco" else f"{backbone}-moco")

    @property
    def run_name(self) -> str:
        return f"pretrain/{self.release}_s{self.seed}"

    def segmentation(self) -> SuperpixelConfig:
        """How pictures become segments."""
        from fsslib.priors.superpixels import SuperpixelConfig

        usual = "scenes_slic" if self.preset == "scenes" else "slic"
        text = usual if self.superpixels is None else self.superpixels
        return SuperpixelConfig.parse("superpixels", text)

    @cached_property
    def training(self) -> MocoConfig:
        return self.own_recipe(MocoConfig)

    def typed(self) -> dict[str, Any]:
        return super().typed() | {"superpixels": self.segmentation().changed(), "root": None}
