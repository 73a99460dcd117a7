"""What ships with the package for Scenes-10i: PFENet's heads and the base learners, one a fold; for
fold 0 HDMNet's head, and both methods' with PI-CLIP's priors; CLIP-DINOiser's heads. A head of
another method that is put beside them loads in the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders import WeightsError, build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.weights import read_state, write_weights
from fsslib.files import PACKAGE, read_json
from fsslib.methods import METHODS, PriorSpec, build_method, parts_of
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.pi_clip.config import ClipPriorConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.words import WordConfig, WordMasks

FOLDER = PACKAGE / "methods" / "weights"


def shipped_path(fold: int, label: str = "pfenet") -> Path:
    """Weights file of a fold; its card lies beside it with the suffix `.json`.

    Args:
        label: a method, and its prior if that is not its own: "hdmnet", "hdmnet+pi_clip".
    """
    return FOLDER / f"{label}-scenes10i-f{fold}.safetensors"


def load_shipped(fold: int = 0, method: str = "pfenet", prior: str = "own") -> FewShotSegmenter:
    """A method for Scenes-10i, trained on the 30 classes that are not novel in `fold`.

    Raises:
        WeightsError: there is no such head; names those there are.
    """
    path = shipped_path(fold, method if prior == "own" else f"{method}+{prior}")
    if not path.is_file():
        available = sorted(each.stem for each in FOLDER.glob("*-scenes10i-f?.safetensors"))
        raise WeightsError(f"no head {path.stem!r} is shipped; there are {available}")
    needed = parts_of(METHODS.get(method), PriorSpec.parse(prior))
    backbone = build_backbone("scenes-resnet", "scenes")
    makers: dict[str, Callable[[], Any]] = {
        "backbone": lambda: backbone,
        "base": lambda: load_base_learner(backbone, base_path(fold), "scenes"),
        "clip": lambda: ClipPriors(
            load_clip("scenes-clip-vit"), ClipPriorConfig.preset("scenes"), CLASS_NAMES
        ),
        "words": lambda: WordMasks(
            load_clip("scenes-clip-rn"), CLASS_NAMES, WordConfig.preset("scenes")
        ),
        "extractor": lambda: build_backbone("scenes-moco", "scenes"),
    }
    parts = {name: makers[name]() for name in needed}
    model = build_method(method, preset="scenes", prior=prior, **parts)
    model.load_head_state(read_state(path))
    return model.eval()


def base_path(fold: int) -> Path:
    """Where the shipped base learner of a fold lies; its card has the suffix `.json`."""
    return FOLDER / f"base-scenes10i-f{fold}.safetensors"


def dinoiser_path() -> Path:
    """Where the shipped heads of CLIP-DINOiser lie; their card has the suffix `.json`."""
    return FOLDER / "dinoiser-scenes.safetensors"


def load_base_learner(backbone: StageBackbone, path: Path | str, preset: str) -> BaseLearner:
    """A trained base learner on `backbone`, frozen.

    Where its backbone was trained too, the file holds that one: give methods its `backbone`, as
    they read what the head reads.

    Args:
        path: a file that `train_base` wrote.
        preset: what it was trained with, a preset of `BaseLearnerConfig`.

    Raises:
        WeightsError: the file is not there, or none of `train_base`. ValueError: it does not fit;
            names the keys.
    """
    state = read_state(Path(path))
    if "class_ids" not in state:
        raise WeightsError(f"{path} holds no class_ids; give a file that train_base has written")
    config = BaseLearnerConfig.preset(preset)
    learner = BaseLearner(backbone, state["class_ids"].tolist(), config)
    learner.load_head_state(state)
    return learner.freeze()


def shipped_card(fold: int, label: str = "pfenet") -> dict[str, Any]:
    """Command, settings, seconds and machine behind a shipped head."""
    return read_json(shipped_path(fold, label).with_suffix(".json"))


def save_head(method: FewShotSegmenter, path: Path, card: dict[str, Any]) -> None:
    """Write a head in fp16 and its card, each of them whole or not at all."""
    write_weights(path, method.head_state(), card)
