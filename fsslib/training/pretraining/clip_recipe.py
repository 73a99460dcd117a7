"""Settings of the contrastive pretraining, and the recipes of the two embedded CLIPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fsslib.config import Bound, strict
from fsslib.settings import Count, Natural, NonNegative, Pixels, Positive, Precision, Settings
from fsslib.training.schedule import learning_rate


@dataclass(frozen=True)
class ClipConfig(Settings):
    """Settings of the contrastive pretraining."""

    model: str = "scenes-clip-rn"
    """An embedded CLIP, or any architecture of open_clip."""
    scenes: Count = 200_000
    """Scenes in the album that it learns from (embedded benchmark only)."""
    steps: Count = 4000
    coarse_steps: Natural = 2400
    """The first steps, on small pictures."""
    text_steps: Natural = 100
    """Before the first step: the text tower alone learns to match two captions of one picture."""
    single_steps: Natural = 0
    """The first of the coarse steps, on single objects, one of each class (scenes only)."""
    naming_from: Natural = 0
    """From this step on, classes are also named by themselves (scenes only)."""
    fine_steps: Natural | None = None
    """The last steps, at the stride the embedded ResNet is used at; None: all that are not
    coarse."""
    unmasked_steps: Natural = 0
    """The last steps, without patch dropout."""
    large_steps: Natural = 0
    """The last steps, on pictures of `large_size` (FixRes, Touvron et al. 2019): what is small gets
    more patches, and a network reads best the scale that it saw last."""
    teacher: str = ""
    """An embedded CLIP whose dense features are matched beside the captions, and whose text tower
    is the starting point; "" for none."""
    patch_dropout: Annotated[float, Bound(least=0, below=1)] = 0.0
    """Share of a ViT's patches left out between the coarse and the last steps."""
    batch_size: Count = 128
    coarse_size: Pixels = 64
    size: Pixels = 96
    """Side of the pictures in pixels, after the coarse steps."""
    large_size: Pixels = 112
    lr: Positive = 6e-4
    weight_decay: NonNegative = 0.1
    warmup: Natural = 200
    max_grad_norm: NonNegative = 1.0
    """Largest gradient norm."""
    precision: Precision = "fp32"
    """Of the forward pass, by autocast; fp16 on GPUs alone. There is no `accumulate` here: each
    picture is compared with every other of its batch, and parts of one would be another loss."""
    seed: Natural = 0
    checkpoint_every: Count = 100
    workers: Natural = 0

    @classmethod
    def preset(cls, model: str, /, **changes: Any) -> ClipConfig:
        """The settings a model was trained with here; changes that are None change nothing.

        Other architectures of open_clip get their own picture size, no coarse phase, and the
        rest as the embedded ResNet; on a GPU raise `batch_size`, `steps` and `workers`.
        """
        recipes: dict[str, dict[str, Any]] = {
            "scenes-clip-rn": {
                "steps": 29_500,
                "single_steps": 3600,
                "coarse_steps": 8700,
                "naming_from": 8700,
                "fine_steps": 1900,
                "batch_size": 64,
                "lr": 3e-4,
            },
            "scenes-clip-vit": {
                "teacher": "scenes-clip-rn",
                "text_steps": 0,
                "steps": 15_400,
                "large_steps": 1100,
                "coarse_steps": 300,
                "coarse_size": 96,
                "naming_from": 300,
                "batch_size": 32,
                "lr": 5e-4,
                "warmup": 100,
            },
        }
        if model not in recipes:
            from open_clip import get_model_config

            settings = get_model_config(model)
            if settings is None:
                known = sorted(recipes)
                raise ValueError(
                    f"model={model!r}: expected one of {known} or an architecture of open_clip"
                )
            recipes[model] = {"coarse_steps": 0, "size": settings["vision_cfg"]["image_size"]}
        changed = {name: value for name, value in changes.items() if value is not None}
        return strict(cls, {"model": model} | recipes[model] | changed)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.single_steps > self.coarse_steps:
            raise ValueError(
                f"single_steps={self.single_steps} are more than coarse_steps={self.coarse_steps}"
            )
        for name in ("unmasked_steps", "fine_steps", "large_steps"):
            last = getattr(self, name) or 0
            if self.coarse_steps + last > self.steps:
                raise ValueError(
                    f"coarse_steps={self.coarse_steps} and {name}={last} are more than "
                    f"steps={self.steps}"
                )
        if self.teacher and self.patch_dropout:
            raise ValueError(
                f"teacher={self.teacher!r} with patch_dropout={self.patch_dropout}: a teacher "
                "answers for every patch; use one or the other"
            )

    def size_at(self, step: int) -> int:
        """Side of the pictures of a step."""
        if step < self.coarse_steps:
            return self.coarse_size
        return self.size if step < self.steps - self.large_steps else self.large_size

    @property
    def final_size(self) -> int:
        """Side of the pictures of the last step: what the model is to be used at."""
        return self.size_at(self.steps - 1)

    def fine_at(self, step: int) -> bool:
        """Whether the embedded ResNet's last pools are out."""
        return step >= self.steps - self._fine_steps

    @property
    def _fine_steps(self) -> int:
        return self.steps - self.coarse_steps if self.fine_steps is None else self.fine_steps

    def lr_at(self, step: int) -> float:
        """Constant after the warm-up, then half a cosine down to 0 over the fine steps, which have
        much to learn anew."""
        begin = self.steps - self._fine_steps
        if step < begin:
            return self.lr * min(1.0, (step + 1) / self.warmup)
        warmup = 0 if begin else self.warmup
        return learning_rate(self.lr, "cosine", step - begin, self._fine_steps, warmup)

    def dropout_at(self, step: int) -> float:
        """Patch dropout of a step."""
        masked = self.coarse_steps <= step < self.steps - self.unmasked_steps
        return self.patch_dropout if masked else 0.0
