"""Settings of the base learner of BAM and HDMNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fsslib.settings import Count, Settings


@dataclass(frozen=True)
class BaseLearnerConfig(Settings):
    """Numbers of the base learner; `preset` gives the papers' and the embedded benchmark's."""

    dim: Count = 512
    """Channels of the head's embedding."""
    train_backbone: bool = True
    """The papers' backbone learns too, and BAM and HDMNet then read that one."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`, and `scenes`: a smaller head on the embedded backbone as it is, which makes a
        training of minutes and a file of 1 MB."""
        scenes = {"dim": 128, "train_backbone": False}
        return {"paper": {}, "scenes": scenes}
