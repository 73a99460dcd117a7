"""Settings of the training of CLIP-DINOiser's heads."""

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
    Tap,
)
from fsslib.training.rules import require_parts
from fsslib.training.schedule import step_decay


@dataclass(frozen=True)
class DinoiserTraining(Settings):
    """How the two heads learn; defaults are those of the released code."""

    preset_word = "recipe"

    steps: Count = 6300
    """A hundred epochs of 63 batches of 16 in the released code; here the last, ragged batch of an
    epoch is left out."""
    batch_size: Count = 16
    accumulate: Count = 1
    """Equal parts of a batch that are learned from one after the other: the same gradients, up to
    rounding, in less memory."""
    lr: Positive = 5e-5
    """Of `obj_proj`."""
    background_lr: Positive = 1e-2
    """Of `bkg_decoder`."""
    drop_at: Natural | tuple[Natural, ...] = 5000
    """From this step on both rates are a tenth; of several steps, each divides by ten once more."""
    weight_decay: NonNegative = 1e-2
    max_grad_norm: NonNegative = 0.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    precision: Precision = "fp32"
    """Of the frozen CLIP, by autocast; fp16 on GPUs alone."""
    gamma: Fraction = 0.2
    """Cells belong together where DINO's cosine reaches this."""
    size: Pixels = 448
    """Side of the crops in pixels."""
    brightness: Fraction = 0.5
    channels: Count = 256
    kernel: Count = 3
    tap: Tap = -3
    pictures: Count = 1000
    balanced: bool = False
    """Whether `bkg_decoder` answers as if half of all cells were salient, by a constant added to
    its bias in the end. Where the teacher calls few cells salient and is often wrong, it would else
    stay below one half everywhere."""
    seed: Natural = 0
    checkpoint_every: Count = 200
    workers: Natural = 1

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`official`: as released. `scenes`: the embedded CLIP on scenes; whether gamma fits its
        teacher is read off that one's card (`agreement`)."""
        return {
            "official": {},
            "scenes": {
                **{"steps": 1500, "drop_at": 1200, "lr": 5e-4, "batch_size": 32, "size": 96},
                **{"channels": 64, "pictures": 8000, "workers": 0, "balanced": True},
            },
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts(self.batch_size, self.accumulate)
        if self.kernel % 2 != 1:
            raise ValueError(f"kernel={self.kernel}: expected an odd number of cells")

    def rates_at(self, step: int) -> tuple[float, float]:
        """Learning rates of `obj_proj` and `bkg_decoder` in a step."""
        drops = (self.drop_at,) if isinstance(self.drop_at, int) else self.drop_at
        factor = step_decay(step, drops)
        return self.lr * factor, self.background_lr * factor
