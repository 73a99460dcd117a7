"""What `python -m fsslib.bench` is asked: one dataclass a topic. Every list in it is swept over."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, ClassVar, Literal, Self, get_origin

import yaml

from fsslib.config import ConfigError, strict
from fsslib.grammar import parse_group
from fsslib.methods.registry import METHODS, PRIORS
from fsslib.runs.machine_config import require_device
from fsslib.settings import Count, Fraction, Natural, Positive, Settings, hints

Names = tuple[str, ...]
Counts = tuple[Count, ...]
METHOD_NAMES, PRIOR_NAMES = METHODS.names(), PRIORS.names()
PHOTOGRAPH = 473
"""Side of the pictures in PFENet's, BAM's and HDMNet's code."""


@dataclass(frozen=True)
class Sweep(Settings):
    """How it is measured, whatever it is."""

    HOW: ClassVar = ("device", "rounds", "memory", "onednn", "seconds")
    """Settings of the measurement, where a topic has them: no part of a row's identity."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    rounds: Count = 7
    """How often every row is measured, each time in turn with all others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_device(self.device)

    def how(self) -> dict[str, Any]:
        """The settings of the measurement, by name."""
        return {name: getattr(self, name) for name in self.HOW if hasattr(self, name)}

    @classmethod
    def read(cls, words: Sequence[str]) -> Self:
        """From words such as `paper`, `name=pfenet,bam`, `size=[241,473]`.

        Raises:
            ConfigError: unknown names, values that do not fit.
        """
        preset, settings = parse_group("-p", shlex.join(words))
        lists = {name for name, kind in hints(cls).items() if get_origin(kind) is tuple}
        settings = {k: _listed(v) if k in lists else v for k, v in settings.items()}
        return strict(cls, settings) if preset is None else cls.preset(preset, **settings)

    def cases(self) -> list[dict[str, Any]]:
        """Every combination of what the lists hold, by the settings' names."""
        settings = [field.name for field in fields(self) if field.name not in self.HOW]
        names = sorted(settings, key=lambda name: name != "name")  # its rows beside each other
        values = [getattr(self, name) for name in names]
        lists = [value if isinstance(value, tuple) else (value,) for value in values]
        return [dict(zip(names, chosen, strict=True)) for chosen in product(*lists)]


@dataclass(frozen=True)
class Alone(Sweep):
    """What is measured without a benchmark's files: on pictures of noise."""

    size: Counts = (97,)
    """Sides of the pictures, in pixels; of a ViT rounded up to whole patches."""
    batch: Counts = (8,)
    """Pictures or episodes in a call."""


@dataclass(frozen=True)
class Counted(Alone):
    """What is held against the machine."""

    memory: bool = True
    """Whether one more call is made to see its peak."""
    onednn: bool = False
    """On a CPU: whether the row's own convolutions are also timed by themselves, as oneDNN's."""


@dataclass(frozen=True)
class EncoderSweep(Counted):
    """Frozen backbones and CLIPs."""

    name: Names = ("scenes-resnet", "scenes-clip-rn", "scenes-clip-vit")
    """Backbones, CLIPs or `timm/ARCHITECTURE`; those that are not embedded get random weights."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: the embedded ones. `paper`: the papers', one picture of 473 pixels."""
        names = ("resnet50", "resnet101", "vgg16_bn", "RN50-quickgelu", "ViT-B-16-quickgelu")
        return {"scenes": {}, "paper": {"name": names, "size": (PHOTOGRAPH,), "batch": (1,)}}


@dataclass(frozen=True)
class EpisodeSweep(Alone):
    """What takes episodes."""

    backbone: Names = ("scenes-resnet",)
    """With random weights where it is not embedded."""
    clip: Names = ("scenes-clip-vit",)
    """Of priors that read one, with random weights where it is not embedded."""
    shot: Counts = (1,)
    coverage: Fraction = 0.24
    """Share of a support that its object covers, which decides what a prior has to compare."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: the embedded encoders. `paper`: a ResNet-50 and a ViT-B/16 with random weights,
        one episode of 473 pixels."""
        networks = {"backbone": ("resnet50",), "clip": ("ViT-B-16-quickgelu",)}
        return {"scenes": {}, "paper": {**networks, "size": (PHOTOGRAPH,), "batch": (1,)}}


@dataclass(frozen=True)
class PriorSweep(EpisodeSweep, Counted):
    """Prior sources, the backbone's features given."""

    name: Names = PRIOR_NAMES
    """Prior sources with changes to their settings: "pi_clip vvp=false"."""


@dataclass(frozen=True)
class MethodSettings(EpisodeSweep):
    """Methods, whatever is measured of them."""

    name: Names = METHOD_NAMES
    """Methods with changes to their settings: "hdmnet preset=paper"."""
    prior: Names = ("own",)
    work: tuple[Literal["forward", "remembered", "train", "evaluate"], ...] = ("forward",)
    """A prediction; one of pictures that backbone or encoder have seen before: the method apart; a
    step down the loss, of what can be trained; a prediction, scored."""
    way: Counts = (1,)

    def cases(self) -> list[dict[str, Any]]:
        """As the base class, without steps of methods that have nothing to learn.

        Raises:
            ConfigError: nothing is left.
        """
        every = super().cases()
        cases = [c for c in every if c["work"] != "train" or _learns(c)]
        if not cases:
            raise ConfigError(f"work=train: {list(self.name)} have nothing to learn; use forward")
        return cases


@dataclass(frozen=True)
class MethodSweep(MethodSettings, Counted):
    """Methods: predicting, learning, being scored."""


@dataclass(frozen=True)
class ProcessSweep(MethodSettings):
    """Methods in several processes at once, which share nothing but the machine."""

    processes: Counts = (1, 2)
    seconds: Positive = 1.0
    """How long a round is let run, on the wall."""


@dataclass(frozen=True)
class TrainingSweep(Sweep):
    """Trainings as they are, on Scenes-10i: loading, encoding, learning."""

    name: Names = METHOD_NAMES
    """Methods, as runs take them; those that learn nothing are left out."""
    backbone: Names = ("scenes-resnet",)
    cache: tuple[Literal["none", "first", "later"], ...] = ("none", "first", "later")
    """No feature cache; its first epoch, which fills it; later ones, which read it."""
    augment: bool = False
    workers: tuple[Natural, ...] = (0,)
    """Loading processes beside the training."""
    batch: Counts = (8,)
    steps: Count = 20
    """Steps that are measured; two more come before them."""
    rounds: Count = 1

    def cases(self) -> list[dict[str, Any]]:
        """As the base class, without methods that have nothing to learn."""
        return [case for case in super().cases() if _learns(case)]


def _learns(case: dict[str, Any]) -> bool:
    return METHODS.get(parse_group("name", case["name"])[0] or "").trainable


def _listed(value: Any) -> list[Any]:
    """A list as YAML has it, `1,5`, or a single value."""
    if isinstance(value, str):
        return [yaml.safe_load(part) for part in value.split(",")]
    return value if isinstance(value, list) else [value]
