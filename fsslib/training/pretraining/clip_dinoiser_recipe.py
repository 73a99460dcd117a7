"""Settings of the training of CLIP-DINOiser's heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fsslib.config import require_least, strict
from fsslib.training.schedule import step_decay


@dataclass(frozen=True)
class DinoiserTraining:
    """How the two heads learn; defaults are those of the released code."""

    steps: int = 6300
    """A hundred epochs of 63 batches of 16 in the released code; here the last, ragged batch of an
    epoch is left out."""
    batch_size: int = 16
    lr: float = 5e-5
    """Of `obj_proj`."""
    background_lr: float = 1e-2
    """Of `bkg_decoder`."""
    drop_at: int | tuple[int, ...] = 5000
    """From this step on both rates are a tenth; of several steps, each divides by ten once more."""
    weight_decay: float = 1e-2
    gamma: float = 0.2
    """Cells belong together where DINO's cosine reaches this."""
    size: int = 448
    """Side of the crops in pixels."""
    brightness: float = 0.5
    channels: int = 256
    kernel: int = 3
    tap: int = -3
    pictures: int = 1000
    balanced: bool = False
    """Whether `bkg_decoder` answers as if half of all cells were salient, by a constant added to
    its bias in the end. Where the teacher calls few cells salient and is often wrong, it would else
    stay below one half everywhere."""
    seed: int = 0
    checkpoint_every: int = 200
    workers: int = 1

    @classmethod
    def preset(cls, name: str, **changes: Any) -> DinoiserTraining:
        """`official`: as released. `scenes`: the embedded CLIP on scenes; whether gamma fits its
        teacher is read off that one's card (`agreement`)."""
        presets: dict[str, dict[str, Any]] = {
            "official": {},
            "scenes": {
                **{"steps": 1500, "drop_at": 1200, "lr": 5e-4, "batch_size": 32, "size": 96},
                **{"channels": 64, "pictures": 8000, "workers": 0, "balanced": True},
            },
        }
        if name not in presets:
            raise ValueError(f"recipe={name!r}: expected one of {sorted(presets)}")
        return strict(cls, presets[name] | changes)

    def __post_init__(self) -> None:
        require_least(self, steps=1, batch_size=1, size=1, pictures=1, channels=1)
        require_least(self, checkpoint_every=1)
        if min(self.lr, self.background_lr) <= 0:
            raise ValueError(
                f"lr={self.lr}, background_lr={self.background_lr}: expected positive rates"
            )
        if self.kernel % 2 != 1:
            raise ValueError(f"kernel={self.kernel}: expected an odd number of cells")

    def rates_at(self, step: int) -> tuple[float, float]:
        """Learning rates of `obj_proj` and `bkg_decoder` in a step."""
        drops = (self.drop_at,) if isinstance(self.drop_at, int) else self.drop_at
        factor = step_decay(step, drops)
        return self.lr * factor, self.background_lr * factor
