"""Settings of the embedded backbone's pretraining, and its two recipes.

`scenes` names all objects of scenes of one to four, by what single cells of two stages say;
`single` names one object a picture, as ImageNet's classifiers do: weaker weights in less time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fsslib.config import Bound, ConfigError
from fsslib.settings import (
    Count,
    Fraction,
    Natural,
    NonNegative,
    Pixels,
    Positive,
    Precision,
    Settings,
)
from fsslib.training.rules import require_parts
from fsslib.training.schedule import learning_rate

Jitter = Annotated[float, Bound(least=0, below=1)]
"""A share by which something varies."""


@dataclass(frozen=True)
class PretrainConfig(Settings):
    """Settings of the classification pretraining; `presets` names the recipes."""

    preset_word = "recipe"

    backbone: str = "scenes-resnet"
    pictures: Literal["single", "several"] = "single"
    """Single objects, each rendered once; or scenes of one to four objects, kept in an album."""
    scenes: Count = 40_000
    """In the album."""
    steps: Count = 2800
    coarse_steps: Natural = 0
    """The first steps, on pictures of `coarse_size` and undilated (album only)."""
    batch_size: Count = 64
    accumulate: Count = 1
    """Equal parts of a batch that are learned from one after the other. BatchNorm sees one part at
    a time, so that this is another training, not only another order of adding."""
    size: Pixels = 96
    """Side of the pictures in pixels."""
    coarse_size: Pixels = 64
    size_jitter: Jitter = 0.0
    """A batch's side varies by up to this share of it (album only)."""
    colour_jitter: Jitter = 0.0
    """Brightness, contrast and tint of a picture vary by up to this share (album only)."""
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.05
    warmup: Natural = 100
    horizon: Count | None = None
    """Steps of the cosine that the learning rate falls along; None: all."""
    cooldown: Natural = 0
    """The last steps, in which the rate falls to 0 from wherever the cosine has it."""
    label_smoothing: Fraction = 0.0
    max_grad_norm: NonNegative = 0.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    precision: Precision = "fp32"
    """Of the forward pass, by autocast; fp16 on GPUs alone."""
    seed: Natural = 0
    validation_scenes: Count = 2000
    checkpoint_every: Count = 250
    workers: Natural = 1
    """Rendering processes; each needs a core."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: how the weights `scenes` were made. `single`: `scenes-single`."""
        scenes = {
            **{"pictures": "several", "steps": 24_000, "coarse_steps": 16_000, "batch_size": 32},
            **{"size_jitter": 0.15, "colour_jitter": 0.2, "precision": "bf16"},
            **{"warmup": 200, "horizon": 36_000, "cooldown": 3000},
            **{"checkpoint_every": 500, "workers": 0},
        }
        return {"scenes": scenes, "single": {}}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts(self.batch_size, self.accumulate)
        for name in ("coarse_steps", "cooldown"):
            if getattr(self, name) > self.steps:
                raise ConfigError(f"{name}={getattr(self, name)}, but steps={self.steps}")
        if self.horizon is not None and self.horizon < self.steps:
            raise ConfigError(f"horizon={self.horizon}: expected steps={self.steps} or more")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step."""
        horizon = self.steps if self.horizon is None else self.horizon
        rate = learning_rate(self.lr, "cosine", step, horizon, self.warmup)
        return rate * min(1.0, (self.steps - step) / self.cooldown) if self.cooldown else rate

    def coarse_at(self, step: int) -> bool:
        """Whether a step's pictures are small and its backbone undilated."""
        return step < self.coarse_steps

    def size_at(self, step: int) -> int:
        """Side of a step's pictures, before jitter."""
        return self.coarse_size if self.coarse_at(step) else self.size
