"""Settings of DINO's self-supervised pretraining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from fsslib.training.schedule import cosine


@dataclass(frozen=True)
class DinoConfig(Settings):
    """How `scenes-dino` learns. Numbers of DINO's paper where a short training allows them."""

    steps: Count = 600
    batch_size: Count = 32
    accumulate: Count = 1
    """Equal parts of a batch that are learned from one after the other: the same gradients, up to
    rounding, in less memory."""
    scenes: Count = 20_000
    """In the album that it learns from, the first of those that the embedded CLIPs learn from: as
    many as 600 steps look at."""
    size: Pixels = 96
    """Side of the two global crops in pixels, in the last steps."""
    coarse_size: Pixels = 64
    """The same before: most is learned on fewer patches."""
    fine_steps: Natural = 60
    """The last steps, at full size."""
    local_crops: Count = 4
    """Small crops; a global one is predicted from each (the paper has 8 to 10)."""
    out: Count = 1024
    """Dimensions that are compared (65,536 in the paper)."""
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.04
    warmup: Natural = 60
    momentum: Fraction = 0.99
    """Of the teacher's average at the start; rises to 1 (0.996 in the paper, for 100 epochs)."""
    teacher_temperature: Positive = 0.04
    student_temperature: Positive = 0.1
    center_momentum: Fraction = 0.9
    frozen_steps: Natural = 60
    """First steps in which the head's last layer stays as it is (an epoch in the paper)."""
    max_grad_norm: NonNegative = 3.0
    """Largest gradient norm, of all parameters together."""
    even_values: NonNegative = 0.0
    """Whether, and how mildly, the last block's values are freed of what all cells of a picture
    share, after training and without changing the output (`dino_values.py`; 0: not)."""
    precision: Precision = "fp32"
    """Of the forward pass, by autocast; fp16 on GPUs alone."""
    seed: Natural = 0
    validation_scenes: Count = 400
    checkpoint_every: Count = 100
    monitor_every: Count = 75
    """Steps between looks at what the teacher is good for."""
    workers: Natural = 0

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: how `scenes-dino` was made."""
        return {"scenes": {}}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts(self.batch_size, self.accumulate)
        if self.fine_steps > self.steps:
            raise ValueError(f"fine_steps={self.fine_steps} are more than steps={self.steps}")
        for name in ("size", "coarse_size"):
            if getattr(self, name) % 16:
                raise ValueError(
                    f"{name}={getattr(self, name)}: expected a multiple of 16 pixels: local crops "
                    "have half that side and patches of 8"
                )

    def size_at(self, step: int) -> int:
        """Side of a step's global crops; local ones have half of it."""
        return self.coarse_size if step < self.steps - self.fine_steps else self.size

    def lr_at(self, step: int) -> float:
        return self.lr * cosine(step, self.steps, self.warmup)

    def momentum_at(self, step: int) -> float:
        return 1 - (1 - self.momentum) * cosine(step, self.steps)
