"""Training recipes: the numbers of the papers, of their code, and of the embedded benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fsslib.settings import Count, Natural, NonNegative, Positive, Precision, Settings
from fsslib.training.rules import require_parts
from fsslib.training.schedule import Schedule


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How a head is trained. `presets` are the papers' recipes."""

    preset_word = "recipe"

    steps: Count = 1000
    """Optimiser steps."""
    batch_size: Count = 8
    """Episodes in a step."""
    accumulate: Count = 1
    """Equal parts of a batch that are learned from one after the other, for want of memory. Their
    gradients add up to the batch's, up to rounding (`FewShotSegmenter.counted`); only BatchNorm in
    training mode sees less at a time. (On several GPUs it sees what all of them see.)"""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: Positive = 1e-3
    """The learning rate in force at the start; nothing multiplies it afterwards."""
    slow: NonNegative = 1.0
    """Learning rate of what a method calls its slow part, in parts of `lr`: HDMNet's decoder and a
    base learner's backbone learn at a tenth. Others have none."""
    weight_decay: NonNegative = 1e-2
    schedule: Schedule = "poly"
    warmup: Natural = 0
    max_grad_norm: NonNegative = 0.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    precision: Precision = "fp32"
    """Of the forward pass, by autocast; fp16 on GPUs alone."""
    augment: bool = True
    augment_last: Literal["crop", "resize"] = "crop"
    """What brings an augmented picture to the network's size."""
    seed: Natural = 0
    """Of initial weights, dropout and training episodes (not of the test list)."""
    validate_every: Natural = 0
    """Steps between validations; 0 validates never."""
    validation_episodes: Count = 200
    """Episodes on each validation list."""
    patience: Natural = 0
    """Validations without a better score after which training stops; 0 never stops early."""
    checkpoint_every: Count = 200
    log_every: Count = 20
    workers: Natural = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts(self.batch_size, self.accumulate)

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: the embedded benchmark. `demo`: the same in three minutes.

        `paper`: PFENet on PASCAL-5i as stated (SGD 0.0025; 200 epochs of 5,953 images). `official`:
        as its code runs, with ten times that rate. `coco`: the official COCO recipe on four GPUs
        (on one: `accumulate=4`), `coco_one_gpu` its batches of 8 at a quarter of that rate.
        `bam`, `bam_coco`, `hdmnet`, `hdmnet_coco`, `pi_clip`, `pi_clip_coco`: as those codes run,
        their factor of ten multiplied out. `pi_clip_paper`: 30 epochs of batches of 4.
        `base`, `base_coco`, `base_scenes`: the base learners. `panet`; `hsnet` (epochs are not
        stated: as many as its users report to need) and `hsnet_coco`; `lfss` (steps of 32 episodes,
        one epoch for each pair of image and class; neither is stated).
        `clip_dinoiser`: as the paper on support images states (AdamW 1e-4, tenfold lower every 10
        of 50 epochs, batches of 4, patience of 5 epochs), and `clip_dinoiser_scenes`, the same with
        epochs of 32 steps.
        """
        sgd = {"optimizer": "sgd", "weight_decay": 1e-4}
        adamw = {"lr": 1e-3, "slow": 0.1, "augment_last": "resize"}
        adam = {"lr": 1e-3, "weight_decay": 0.0, "schedule": "constant", "augment": False}
        seed = {"lr": 1e-4, "schedule": "stairs", "augment": False, "batch_size": 4, "patience": 5}
        voc, coco = 5953, 82081
        return {
            "scenes": {"steps": 1600, "augment": False},
            "demo": {"steps": 300, "checkpoint_every": 100, "augment": False},
            "paper": {**sgd, "lr": 0.0025, **_epochs(200, voc, 4)},
            "official": {**sgd, "lr": 0.025, **_epochs(200, voc, 4)},
            "coco": {**sgd, "lr": 0.2, **_epochs(50, coco, 32)},
            "coco_one_gpu": {**sgd, "lr": 0.05, **_epochs(50, coco, 8)},
            "bam": {**sgd, "lr": 0.05, **_epochs(200, voc, 8)},
            "bam_coco": {**sgd, "lr": 0.05, **_epochs(50, coco, 8)},
            "hdmnet": {**adamw, **_epochs(200, voc, 4)},
            "hdmnet_coco": {**adamw, **_epochs(50, coco, 6)},
            "pi_clip": {**adamw, **_epochs(200, voc, 8)},
            "pi_clip_coco": {**adamw, **_epochs(50, coco, 8)},
            "pi_clip_paper": {**adamw, **_epochs(30, voc, 4)},
            "panet": {**sgd, "lr": 1e-3, "weight_decay": 5e-4, "schedule": "step"}
            | {"batch_size": 1, "steps": 30_000},
            "hsnet": {**adam, **_epochs(350, 11_394, 20)},
            "hsnet_coco": {**adam, **_epochs(40, 62_040, 40)},
            "lfss": {**adam, **_epochs(200, 11_394, 32)},
            "clip_dinoiser": {**seed, **_epochs(50, voc, 4), "validate_every": voc // 4},
            "clip_dinoiser_scenes": {**seed, "steps": 1600, "validate_every": 32},
            "base": {**sgd, "lr": 0.0025, "slow": 0.1, **_epochs(100, voc, 12)},
            "base_coco": {**sgd, "lr": 0.0025, **_epochs(20, coco, 12)},
            "base_scenes": {"steps": 1000, "batch_size": 16, "augment": False},
        }


def _epochs(epochs: int, images: int, batch_size: int) -> dict[str, int]:
    """Epochs of the whole train list; those of the released codes are shorter by the pictures that
    hold no base class of the fold in the size they ask for."""
    return {"batch_size": batch_size, "steps": epochs * (images // batch_size)}
