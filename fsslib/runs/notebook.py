"""What the cells of a run template call, so that they stay short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fsslib.data.episode import Episode, stack
from fsslib.data.loading import EpisodeReader
from fsslib.runs.config import CONFIGS, RunConfig, default_folder, parse
from fsslib.runs.experiment import Experiment


def begin(template: str, namespace: Mapping[str, Any]) -> tuple[RunConfig, Path]:
    """Typed config from the parameters in a notebook's `globals()`, and the run's folder.

    `output` names the folder; None means the same folder that the command line would choose.
    """
    names = CONFIGS[template].__dataclass_fields__
    config = parse(template, {name: namespace[name] for name in names if name in namespace})
    config.require_files()
    folder = Path(namespace["output"]) if namespace.get("output") else default_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    return config, folder


@torch.inference_mode()
def predicted(experiment: Experiment, count: int) -> tuple[Episode, torch.Tensor]:
    """The first test episodes and what the method predicts for them, on the CPU."""
    reader = EpisodeReader(experiment.benchmark, experiment.protocol)
    episodes = stack([reader.read(spec) for spec in experiment.specs[:count]])
    experiment.method.eval()
    return episodes, experiment.method(episodes.to(experiment.device)).mask.cpu()
