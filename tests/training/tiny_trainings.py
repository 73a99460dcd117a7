"""Every training of the house, tiny: a name, and how to run it into a folder."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from stand_ins import tiny_backbone

from fsslib.data.augmentation import Augmentation
from fsslib.data.base_pictures import BasePictures
from fsslib.data.loading import TrainingEpisodes
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit
from fsslib.data.scenes.album import Album
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_small import small_clip
from fsslib.encoders.dino import small_dino
from fsslib.methods import FewShotSegmenter, build_method
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.clip_dinoiser.teachers import Teachers
from fsslib.priors.superpixels import SuperpixelConfig
from fsslib.training.loop import train
from fsslib.training.pretraining.backbone import PretrainConfig, pretrain_backbone
from fsslib.training.pretraining.captioned import CaptionedScenes
from fsslib.training.pretraining.clip import pretrain_clip
from fsslib.training.pretraining.clip_dinoiser import train_heads
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.pretraining.dino import pretrain_dino
from fsslib.training.pretraining.dino_recipe import DinoConfig
from fsslib.training.pretraining.moco import pretrain_moco
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.recipe import TrainConfig

PROTOCOL = Protocol.preset("scenes10i", image_size=33)


def quiet(_: str) -> None:
    pass


@cache
def album(root: Path, count: int, side: int) -> Album:
    return Album("test", 0, count, side, root / f"album{count}").prepare(workers=1)


@dataclass(frozen=True)
class Tiny:
    """A training: `run(config, folder, root, report)`; `root` is where its pictures lie."""

    config: Any
    run: Callable[..., Any]

    def changed(self, **changes: Any) -> Any:
        return replace(self.config, **changes)


def without_dropout(method: FewShotSegmenter) -> FewShotSegmenter:
    """Whose masks differ with the parts of a batch, as they differ with the seed."""
    for module in method.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return method


def segmenter(
    config: TrainConfig,
    folder: Path,
    root: Path,
    report=quiet,
    name: str = "pfenet",
    padded: bool = True,
    **options: Any,
) -> dict[str, Any]:
    torch.manual_seed(0)
    network = tiny_backbone(dilated=name != "hsnet")
    method = without_dropout(build_method(name, network, "scenes", **options))
    return train(method, episodes(config, padded), config, folder, report=report)


def episodes(config: TrainConfig, padded: bool) -> Callable[[int], TrainingEpisodes]:
    """`padded`: turned and cut or padded, so that they count in different numbers of pixels."""
    augmentation = Augmentation(scale=(0.5, 1.1)) if padded else None
    length = config.steps * config.batch_size
    return lambda start: TrainingEpisodes(
        load_benchmark(PROTOCOL), PROTOCOL, length, config.seed, start, augmentation
    )


def base_learner(config: TrainConfig, folder: Path, root: Path, report=quiet) -> dict[str, Any]:
    benchmark = load_benchmark(PROTOCOL)
    torch.manual_seed(0)
    classes = ClassSplit.of(benchmark, PROTOCOL).train
    learner = BaseLearner(tiny_backbone(), classes, BaseLearnerConfig.preset("scenes"))
    length = config.steps * config.batch_size

    def pictures(start: int) -> BasePictures:
        return BasePictures(benchmark, PROTOCOL, length, config.seed, start, None)

    return train(without_dropout(learner), pictures, config, folder, report=report)


def backbone(config: PretrainConfig, folder: Path, root: Path, report=quiet) -> dict[str, Any]:
    return pretrain_backbone(config, folder, report=report)


def clip(config: ClipConfig, folder: Path, root: Path, report=quiet) -> dict[str, Any]:
    pictures = CaptionedScenes(album(root, 300, 32))
    torch.manual_seed(0)
    encoder = small_clip(config.model, pictures.vocabulary(), fine=False)
    return pretrain_clip(config, encoder, pictures, folder, report=report)


def dino(config: DinoConfig, folder: Path, root: Path, report=quiet) -> Any:
    return pretrain_dino(config, album(root, 40, 48), folder, report=report)


def heads(config: DinoiserTraining, folder: Path, root: Path, report=quiet) -> Any:
    torch.manual_seed(0)
    teachers = Teachers(small_dino().freeze())
    encoder = load_clip("scenes-clip-vit")
    return train_heads(config, encoder, teachers, album(root, 20, 32), folder, report=report)


def moco(config: MocoConfig, folder: Path, root: Path, report=quiet) -> dict[str, Any]:
    pictures = album(root, 19, 48)
    settings = SuperpixelConfig.preset("scenes_slic", long_side=48, min_area=50, min_side=6)
    store = SegmentStore(pictures, settings, root / "segments").prepare(workers=1)
    return pretrain_moco(config, store, folder, report=report)


_EVERY = {"steps": 6, "batch_size": 4, "checkpoint_every": 3, "workers": 0}
TRAININGS = {
    "segmenter": Tiny(TrainConfig(**_EVERY, lr=1e-2, log_every=3), segmenter),
    "base_learner": Tiny(TrainConfig(**_EVERY, lr=1e-2, log_every=3), base_learner),
    "backbone": Tiny(
        PretrainConfig(**_EVERY, size=33, warmup=1, validation_scenes=4, label_smoothing=0.1),
        backbone,
    ),
    "clip": Tiny(
        ClipConfig(
            **{**_EVERY, "batch_size": 8, "model": "scenes-clip-vit", "text_steps": 0},
            **{"coarse_steps": 2, "coarse_size": 24, "size": 32, "warmup": 2, "naming_from": 1},
        ),
        clip,
    ),
    "dino": Tiny(
        DinoConfig(
            **{**_EVERY, "scenes": 40, "size": 48, "coarse_size": 32, "fine_steps": 2, "out": 32},
            **{"local_crops": 2, "warmup": 2, "frozen_steps": 2},
        ),
        dino,
    ),
    "heads": Tiny(
        DinoiserTraining.preset(
            "scenes", **_EVERY, drop_at=4, size=32, pictures=20, channels=8, balanced=False
        ),
        heads,
    ),
    "moco": Tiny(
        MocoConfig(
            **{"epochs": 2, "batch_size": 6, "size": 32, "local_size": 24, "min_cells": 1},
            **{"checkpoint_every": 3, "queue": 18, "local_queue": 36},
        ),
        moco,
    ),
}
