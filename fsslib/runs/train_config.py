"""Parameters of `train.ipynb`: those of the evaluation, and how to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fsslib.config import ConfigError, require_least
from fsslib.methods import BASELINES
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.training.recipe import TrainConfig


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
    max_grad_norm: float | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    augment: bool | None = None
    validate_every: int | None = None
    patience: int | None = None
    validation_episodes: int = 200
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method in BASELINES:
            raise ConfigError(f"method={self.method!r} is training-free; run evaluate instead")
        if self.head is not None:
            raise ConfigError(f"head={self.head!r}: training makes the head; leave it out")
        require_least(self, validation_episodes=1, train_batch_size=1)
        training = self.training()
        if self.held_out and self.way > self.held_out:
            raise ConfigError(
                f"way={self.way} with held_out={self.held_out}: episodes of the classes held out "
                "select the checkpoint; hold out at least as many"
            )
        if self.selection != "last" and not 1 <= training.validate_every <= training.steps:
            raise ConfigError(
                f"selection={self.selection!r} with validate_every={training.validate_every}: "
                f"expected 1 to {training.steps}, the steps of the training"
            )
        if self.benchmark == "folder":
            raise ConfigError(
                "benchmark='folder' has no classes to train on, all of them are novel; run evaluate"
            )

    def training(self) -> TrainConfig:
        """The training settings that these parameters describe."""
        names = (
            "steps",
            "lr",
            "weight_decay",
            "max_grad_norm",
            "augment",
            "validate_every",
            "patience",
        )
        values = {name: getattr(self, name) for name in (*names, "patience", "checkpoint_every")}
        values["batch_size"] = self.train_batch_size
        given = {name: value for name, value in values.items() if value is not None}
        given |= {"seed": self.seed, "precision": self.precision, "workers": self.workers}
        return TrainConfig.preset(self.recipe, **given)

    @property
    def run_name(self) -> str:
        return f"{super().run_name}_s{self.seed}"
