"""Parameters of `train.ipynb`: those of the evaluation, and how to train."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from fsslib.config import ConfigError
from fsslib.data.benchmark import BENCHMARKS
from fsslib.grammar import parse_preset
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.run_config import identity
from fsslib.settings import Natural, Precision, of_parameter
from fsslib.training.recipe import TrainConfig


def training_config(text: str, seed: int, workers: int) -> TrainConfig:
    """A recipe with changes, a seed and what the machine says."""
    name, changes = parse_preset("recipe", text)
    for own in ("seed", "workers"):
        if own in changes:
            raise ConfigError(f"recipe={text!r}: {own} is a parameter of its own")
    with of_parameter("recipe"):
        return TrainConfig.preset(name, **changes, seed=seed, workers=workers)


@dataclass(frozen=True)
class TrainRunConfig(EvaluateConfig):
    """Parameters of `train.ipynb`: those of the evaluation, and how to train."""

    method: str = "pfenet"
    recipe: str = "scenes"
    """Training recipe, and changes to it: "hdmnet lr=1e-4 optimizer=sgd"."""
    seed: Natural = 0
    """Of initial weights and training episodes."""

    groups: ClassVar = EvaluateConfig.groups | {"recipe": TrainConfig}
    aliases: ClassVar = EvaluateConfig.aliases | {"train_batch_size": ("recipe", "batch_size")}

    def __post_init__(self) -> None:
        _ = self.training  # checked by being read, before a network is imported for the rest
        super().__post_init__()
        if not self.method_class.trainable:
            name = self.method_class.name
            raise ConfigError(f"method={name!r} is training-free; run evaluate instead")
        if self.head is not None:
            raise ConfigError(f"head={self.head!r}: training makes the head; leave it out")
        training, protocol = self.training, self.test_protocol
        if protocol.held_out and self.way > protocol.held_out:
            raise ConfigError(
                f"way={self.way} with held_out={protocol.held_out}: episodes of the classes held "
                "out select the checkpoint; hold out at least as many"
            )
        if protocol.selection != "last" and not 1 <= training.validate_every <= training.steps:
            raise ConfigError(
                f"selection={protocol.selection!r} with validate_every={training.validate_every}: "
                f"expected 1 to {training.steps}, the steps of the training"
            )
        if training.patience and not training.validate_every:
            raise ConfigError(
                f"patience={training.patience} without validate_every: there are no validations to "
                "wait for; give both"
            )
        BENCHMARKS.get(protocol.benchmark).require_base(self.root)

    @cached_property
    def training(self) -> TrainConfig:
        """The training settings that these parameters describe."""
        return training_config(self.recipe, self.seed, self.machine_config.loaders)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return (*super().precisions, self.training.precision)

    @property
    def run_name(self) -> str:
        return f"{super().run_name}_s{self.seed}"

    def typed(self) -> dict[str, Any]:
        return super().typed() | {"recipe": identity(self.training)}
