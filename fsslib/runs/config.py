"""Typed configurations of the run templates: what papermill's parameters become."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, require_known, strict
from fsslib.files import runs_folder
from fsslib.methods.registry import METHODS, PRIORS
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
)
from fsslib.runs.run_config import PATHS, RunConfig, file_name
from fsslib.runs.train_config import TrainRunConfig
from fsslib.runs.zero_shot_config import ZeroShotRunConfig

CONFIGS: dict[str, type[RunConfig]] = {
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


def parse(template: str, parameters: dict[str, Any]) -> RunConfig:
    """Check every parameter of a template before anything starts; ConfigError names the trouble."""
    require_known("template", template, sorted(CONFIGS))
    try:
        return strict(CONFIGS[template], CONFIGS[template].expand(parameters))
    except ConfigError:
        raise
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(str(error)) from error


def parse_card(template: str, parameters: dict[str, Any]) -> RunConfig:
    """The typed parameters that a card or a result holds, also of one that an older version wrote:
    there all were flat, and `clip` was the gradient norm."""
    known = dict(parameters)
    if "clip_model" in known:
        known["max_grad_norm"] = known.pop("clip", None)
        if known["clip_model"] is None:
            known.pop("clip_weights", None)
        if known.get("extractor_weights") == "scenes":
            known.pop("extractor_weights")
        read = {*str(known.get("prior", "")).split("+")}
        read.add(METHODS.get(known["method"]).fixed_prior if "method" in known else None)
        known = {k: v for k, v in known.items() if k not in PRIORS.names() or k in read}
    own = CONFIGS[template].accepts()
    return parse(template, {name: value for name, value in known.items() if name in own})


def command_of(config: RunConfig) -> str:
    """The command that makes the same: its template and the parameters that differ from the usual.
    Of files only their names are told, and nothing of the machine."""
    template = next(name for name, known in CONFIGS.items() if known is type(config))
    words = [f"python -m fsslib.runs run {template}"]
    for name, value in portable(config).items():
        if value != type(config).__dataclass_fields__[name].default and name != "machine":
            text = str(value)
            quote = "'" if '"' in text else '"'
            words.append(f"-p {name}={quote}{text}{quote}" if " " in text else f"-p {name}={text}")
    return " ".join(words)


def portable(config: RunConfig) -> dict[str, Any]:
    """Parameters with files by their names alone: what cards and results hold."""
    values = config.with_paths(file_name)
    for name in PATHS:  # a plain name may be a folder, too
        if values.get(name):
            values[name] = Path(str(values[name])).name
    return values


def run_id(config: RunConfig) -> str:
    """Eight hexadecimal digits of what decides the result: the same run on another machine, with
    other workers or caches, goes to the same folder."""
    content = [type(config).__name__, config.decisive()]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def default_folder(config: RunConfig) -> Path:
    """`papermill_runs/<method>/<what>/<id>`; the same parameters share a folder and resume."""
    return runs_folder() / config.run_name / run_id(config)
