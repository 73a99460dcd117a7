"""Typed configurations of the run templates: what papermill's parameters become.

A template's `parameters` cell and its dataclass list the same names.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, require_known, strict
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.pretraining.config import (
    BaseLearnerRunConfig,
    PretrainClipRunConfig,
    PretrainRunConfig,
)
from fsslib.runs.pretraining.unlabelled_config import (
    PretrainDinoRunConfig,
    PretrainMocoRunConfig,
    TrainDinoiserRunConfig,
    ZeroShotRunConfig,
)
from fsslib.runs.train_config import TrainRunConfig

PATHS = ("root", "data", "head", "base", "heads", "weights", "extractor_weights", "clip_weights")
PATHS += ("dino_weights", "found_head", "start")
"""Parameters that may be paths, made relative to the run's folder."""

OF_THE_MACHINE = ("root", "device", "workers", "prepare_workers", "feature_cache", "clip_cache")
"""Parameters that change where and how fast a run goes, not what it finds."""

CONFIGS = {
    "train": TrainRunConfig,
    "evaluate": EvaluateConfig,
    "train_base": BaseLearnerRunConfig,
    "pretrain_backbone": PretrainRunConfig,
    "pretrain_clip": PretrainClipRunConfig,
    "pretrain_dino": PretrainDinoRunConfig,
    "train_dinoiser": TrainDinoiserRunConfig,
    "zero_shot": ZeroShotRunConfig,
    "pretrain_moco": PretrainMocoRunConfig,
}
RunConfig = (
    TrainRunConfig
    | EvaluateConfig
    | BaseLearnerRunConfig
    | PretrainRunConfig
    | PretrainClipRunConfig
    | PretrainDinoRunConfig
    | TrainDinoiserRunConfig
    | ZeroShotRunConfig
    | PretrainMocoRunConfig
)


def parse(template: str, parameters: dict[str, Any]) -> RunConfig:
    """Check every parameter of a template before anything starts; ConfigError names the trouble."""
    require_known("template", template, sorted(CONFIGS))
    try:
        return strict(CONFIGS[template], parameters)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def command_of(config: RunConfig) -> str:
    """The command that makes the same: its template and the parameters that differ from the usual.
    Of files only their names are told, and nothing of the machine."""
    kind = type(config)
    template = next(name for name, known in CONFIGS.items() if known is kind)
    words = [f"python -m fsslib.runs run {template}"]
    for name, field in kind.__dataclass_fields__.items():
        value = getattr(config, name)
        if value != field.default and name not in OF_THE_MACHINE:
            text = Path(str(value)).name if name in PATHS else str(value)
            words.append(f'-p {name}="{text}"' if " " in text else f"-p {name}={text}")
    return " ".join(words)


def decisive(config: RunConfig) -> dict[str, Any]:
    """The parameters that decide what a training makes, and not where or how fast."""
    speed = (*OF_THE_MACHINE, "batch_size")
    return {name: value for name, value in asdict(config).items() if name not in speed}


def run_id(config: RunConfig) -> str:
    """Eight hexadecimal digits: the same parameters always lead to the same folder, and files or
    folders of one name in two places to two."""
    text = json.dumps([type(config).__name__, located(asdict(config))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def located(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the paths among them in full, where there is such a file or folder."""
    values = dict(values)
    for name in PATHS:
        if values.get(name) and (path := Path(str(values[name])).expanduser()).exists():
            values[name] = str(path.resolve())
    return values
