"""Parameters of `evaluate.ipynb`, which `train.ipynb` shares: a method on a benchmark.

None means "as the preset of this benchmark or recipe says"; everything that is given wins over the
preset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fsslib.config import ConfigError
from fsslib.data.protocol import BenchmarkName, NovelInTrain, Protocol, Selection
from fsslib.methods import BASELINES, WITH_DINOISER
from fsslib.runs.method_config import MethodConfig


@dataclass(frozen=True)
class EvaluateConfig(MethodConfig):
    """Parameters of `evaluate.ipynb`: a method on a protocol, trained elsewhere or not at all."""

    clip_cache: int = 0
    """MiB of memory for what frozen encoders have said of pictures before."""
    feature_cache: int = 0
    """GiB on disk for what frozen encoders said of pictures, kept from run to run and in
    place of `clip_cache`; Scenes-10i is then rendered once and kept, too. Pays without
    augmentation."""
    benchmark: BenchmarkName = "scenes10i"
    root: str | None = None
    fold: int = 0
    way: int = 1
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
        for name, least in (("batch_size", 1), ("workers", 0), ("clip_cache", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)}: expected at least {least}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise ConfigError(f"device={self.device!r}: expected auto, cpu, cuda or cuda:1")
        super().__post_init__()
        original = self.reads_clip and self.clip_priors().vtp_size == "original"
        if original and self.fit == "pad" and self.benchmark != "scenes10i":
            raise ConfigError(
                f"pi_clip={self.pi_clip!r} with fit='pad': a padded square has not the shape of "
                "its photograph; use fit=stretch, or add vtp_size=tensor (the code's on COCO)"
            )
        trainable = self.method not in BASELINES
        if type(self) is EvaluateConfig and trainable != (self.head is not None):
            need = "needs head=: a trained file, or 'shipped'" if trainable else "has no head"
            raise ConfigError(f"head={self.head!r}: method {self.method!r} {need}")
        self.protocol()

    def protocol(self) -> Protocol:
        """The protocol that these parameters describe."""
        names = ("fold", "way", "shot", "sampling", "resolution", "border", "coco_folds")
        names += ("selection", "held_out", "scarce_classes", "train_list", "fit")
        values = {name: getattr(self, name) for name in names}
        for name in ("episodes", "image_size", "minimum_object_pixels", "novel_in_train"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        if self.reads_clip and self.clip_priors().candidate_classes == "oracle":
            values["query_labels"] = "oracle"
        return Protocol.preset(self.benchmark, seed=self.episode_seed, **values)

    @property
    def run_name(self) -> str:
        """`pfenet/scenes10i_f0_1shot_scenes-resnet`: the folder of runs that belong together."""
        way = f"{self.way}way_" if self.way > 1 else ""
        clip = self.method in WITH_DINOISER
        network = self.clip_model or "scenes-clip-vit" if clip else self.backbone
        return f"{self.label}/{self.benchmark}_f{self.fold}_{way}{self.shot}shot_{network}"
