"""What ships with the package: PFENet's heads for Scenes-10i, one a fold; base learners, once they
are trained, lie beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsslib.encoders import WeightsError, build_backbone
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.weights import read_state, write_weights
from fsslib.files import PACKAGE, read_json
from fsslib.methods import PFENet, build_method
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig

FOLDER = PACKAGE / "methods" / "weights"


def shipped_path(fold: int) -> Path:
    """Weights file of a fold; its card lies beside it with the suffix `.json`."""
    return FOLDER / f"pfenet-scenes10i-f{fold}.safetensors"


def load_shipped(fold: int = 0) -> PFENet:
    """PFENet for Scenes-10i, trained on the 30 classes that are not novel in `fold`.

    Raises:
        WeightsError: there is no shipped head for that fold.
    """
    if not shipped_path(fold).is_file():
        raise WeightsError(f"fold={fold}: no PFENet head is shipped for it; folds are 0 to 3")
    method = build_method("pfenet", build_backbone("scenes-resnet", "scenes"), "scenes")
    method.load_head_state(read_state(shipped_path(fold)))
    return method.eval()


def base_path(fold: int) -> Path:
    """Where the shipped base learner of a fold lies; its card has the suffix `.json`."""
    return FOLDER / f"base-scenes10i-f{fold}.safetensors"


def dinoiser_path() -> Path:
    """Where the shipped heads of CLIP-DINOiser lie; their card has the suffix `.json`."""
    return FOLDER / "dinoiser-scenes.safetensors"


def load_base_learner(backbone: StageBackbone, path: Path | str, preset: str) -> BaseLearner:
    """A trained base learner on `backbone`, frozen.

    Where its backbone was trained too, the file holds that one, and `backbone` becomes it.

    Args:
        path: a file that `train_base` wrote.
        preset: what it was trained with, a preset of `BaseLearnerConfig`.

    Raises:
        WeightsError: the file is not there. ValueError: it does not fit; names the keys.
    """
    state = read_state(Path(path))
    config = BaseLearnerConfig.preset(preset)
    learner = BaseLearner(backbone, state["class_ids"].tolist(), config)
    learner.load_head_state(state)
    learner.requires_grad_(False)
    return learner.eval()


def shipped_card(fold: int) -> dict[str, Any]:
    """Command, settings, seconds and machine behind a shipped head."""
    return read_json(shipped_path(fold).with_suffix(".json"))


def save_head(method: FewShotSegmenter, path: Path, card: dict[str, Any]) -> None:
    """Write a head in fp16 and its card, each of them whole or not at all."""
    write_weights(path, method.head_state(), card)
