"""Settings of DINO's self-supervised pretraining."""

from __future__ import annotations

from dataclasses import dataclass

from fsslib.config import require_least
from fsslib.training.schedule import cosine


@dataclass(frozen=True)
class DinoConfig:
    """How `scenes-dino` learns. Numbers of DINO's paper where a short training allows them."""

    steps: int = 600
    batch_size: int = 32
    scenes: int = 20_000
    """In the album that it learns from, the first of those that the embedded CLIPs learn from: as
    many as 600 steps look at."""
    size: int = 96
    """Side of the two global crops in pixels, in the last steps."""
    coarse_size: int = 64
    """The same before: most is learned on fewer patches."""
    fine_steps: int = 60
    """The last steps, at full size."""
    local_crops: int = 4
    """Small crops; a global one is predicted from each (the paper has 8 to 10)."""
    out: int = 1024
    """Dimensions that are compared (65,536 in the paper)."""
    lr: float = 1e-3
    weight_decay: float = 0.04
    warmup: int = 60
    momentum: float = 0.99
    """Of the teacher's average at the start; rises to 1 (0.996 in the paper, for 100 epochs)."""
    teacher_temperature: float = 0.04
    student_temperature: float = 0.1
    center_momentum: float = 0.9
    frozen_steps: int = 60
    """First steps in which the head's last layer stays as it is (an epoch in the paper)."""
    max_grad_norm: float = 3.0
    """Largest gradient norm, of all parameters together."""
    seed: int = 0
    validation_scenes: int = 400
    checkpoint_every: int = 100
    workers: int = 0

    def __post_init__(self) -> None:
        require_least(self, steps=1, batch_size=1, scenes=1, checkpoint_every=1)
        require_least(self, local_crops=1, out=1)
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
