"""Settings of the embedded backbone's pretraining, and its two recipes.

`single` names one object a picture, as ImageNet's classifiers do; `local` names all objects of
scenes of one to four, by what single cells of two stages say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fsslib.config import require_known, require_least, strict
from fsslib.training.schedule import learning_rate


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the classification pretraining; `preset` names the recipes."""

    backbone: str = "scenes-resnet"
    pictures: Literal["single", "several"] = "single"
    """Single objects, each rendered once; or scenes of one to four objects, kept in an album."""
    scenes: int = 40_000
    """In the album."""
    steps: int = 2800
    coarse_steps: int = 0
    """The first steps, on pictures of `coarse_size` and undilated (album only)."""
    batch_size: int = 64
    size: int = 96
    """Side of the pictures in pixels."""
    coarse_size: int = 64
    size_jitter: float = 0.0
    """A batch's side varies by up to this share of it (album only)."""
    colour_jitter: float = 0.0
    """Brightness, contrast and tint of a picture vary by up to this share (album only)."""
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100
    horizon: int | None = None
    """Steps of the cosine that the learning rate falls along; None: all."""
    cooldown: int = 0
    """The last steps, in which the rate falls to 0 from wherever the cosine has it."""
    label_smoothing: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    """Autocast of the forward pass."""
    seed: int = 0
    validation_scenes: int = 2000
    checkpoint_every: int = 250
    workers: int = 1
    """Rendering processes; each needs a core."""

    @classmethod
    def preset(cls, name: str, **changes: Any) -> PretrainConfig:
        """The settings of a recipe; changes that are None change nothing."""
        recipes: dict[str, dict[str, Any]] = {
            "single": {},
            "local": {
                "pictures": "several",
                "steps": 24_000,
                "coarse_steps": 16_000,
                "batch_size": 32,
                "size_jitter": 0.15,
                "colour_jitter": 0.2,
                "lr": 2e-3,
                "warmup": 200,
                "horizon": 36_000,
                "cooldown": 3000,
                "precision": "bf16",
                "checkpoint_every": 500,
                "workers": 0,
            },
        }
        require_known("preset", name, sorted(recipes))
        given = {key: value for key, value in changes.items() if value is not None}
        return strict(cls, recipes[name] | given)

    def __post_init__(self) -> None:
        require_known("pictures", self.pictures, ("single", "several"))
        require_least(self, steps=1, batch_size=1, size=1, validation_scenes=1, checkpoint_every=1)
        require_least(self, weight_decay=0, warmup=0, label_smoothing=0, seed=0, workers=0)
        require_least(self, scenes=1, coarse_steps=0, coarse_size=1)
        if self.lr <= 0:
            raise ValueError(f"lr={self.lr}: expected a positive learning rate")
        if self.coarse_steps > self.steps:
            raise ValueError(f"coarse_steps={self.coarse_steps}, but steps={self.steps}")
        if self.horizon is not None and self.horizon < self.steps:
            raise ValueError(f"horizon={self.horizon}: expected steps={self.steps} or more")
        if not 0 <= self.cooldown <= self.steps:
            raise ValueError(f"cooldown={self.cooldown}: expected 0 to steps={self.steps}")
        for name in ("size_jitter", "colour_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 to below 1")

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
