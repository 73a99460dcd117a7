"""`--check`: whether a study's runs could start here, under whose licences, and how long they take.

Files are asked for as before a run. Hours are measured: where the benchmark is there, the first
steps of a training are taken and the first episodes of the list are answered at full size, by the
true architectures, with random weights in place of those that are not here yet. A training with a
feature cache is timed with it, an evaluation without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from huggingface_hub import try_to_load_from_cache

from fsslib.config import ConfigError
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes
from fsslib.encoders.weights import WeightsError
from fsslib.evaluation.evaluator import evaluate
from fsslib.grammar import format_group, parse_group
from fsslib.runs.assembly import assemble, encoder_cache
from fsslib.runs.config import parse
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.experiment import Experiment
from fsslib.runs.job import Job
from fsslib.runs.studies import jobs_to_run
from fsslib.runs.study import Study
from fsslib.runs.train_config import TrainRunConfig
from fsslib.training.journal import read_journal

TRIED = 2
"""Episodes, and steps of a training, that are timed, after one that is not."""


@dataclass(frozen=True)
class Checked:
    """One row of a study."""

    row: str
    runs: int
    trouble: str
    """What is missing, in a sentence; empty: nothing."""
    licences: tuple[str, ...]
    hours: float | None
    """Of all of its runs, one after the other; None where it could not be tried."""


def check(
    study: Study, rows: Sequence[str] = (), missing: bool = False, published: bool = True
) -> Iterator[Checked]:
    """Every row that has runs to make, in the order of the file; see `jobs_to_run` for the
    arguments."""
    jobs = jobs_to_run(study, rows, missing, published)
    for row in study.rows:
        if own := [job for job in jobs if job.row == row]:
            yield _checked(own)


def _checked(jobs: Sequence[Job]) -> Checked:
    """The row that these runs are."""
    first = jobs[0]
    config = parse(first.template, first.parameters)
    if not isinstance(config, EvaluateConfig):
        return Checked(first.row, len(jobs), "a pretraining: no estimate", (), None)
    if first.needs:
        others = ", ".join(sorted({name.rsplit("_f", 1)[0] for name in first.needs}))
        trouble = f"files that runs of {others} make"
        return Checked(first.row, len(jobs), trouble, licences(config), None)
    seconds = _seconds(config)
    hours = None if seconds is None else seconds * len(jobs) / 3600
    return Checked(first.row, len(jobs), _trouble(config), licences(config), hours)


def licences(config: EvaluateConfig) -> tuple[str, ...]:
    """Of each frozen encoder's weights."""
    return tuple(f"{name}: {licence or 'not known'}" for name, licence in config.licences)


def _trouble(config: EvaluateConfig) -> str:
    try:
        config.require_files()
        load_benchmark(config.test_protocol, config.root)
    except (ConfigError, OSError, ValueError) as error:
        return str(error)
    absent = [name for name, weights in config.encoders if _to_download(name, weights)]
    return f"weights of {', '.join(absent)}, downloaded by the first run" if absent else ""


def _to_download(name: str, weights: str) -> bool:
    """Whether timm's weights of a network are not on this machine yet."""
    if not name.startswith("timm/") or Path(weights).is_file() or weights == "random":
        return False
    from timm.models import get_pretrained_cfg

    model = name.removeprefix("timm/")
    config = get_pretrained_cfg(model if weights == "timm" else f"{model}.{weights}")
    repository = getattr(config, "hf_hub_id", None)
    files = ("model.safetensors", "pytorch_model.bin")
    return not any(isinstance(try_to_load_from_cache(repository, f), str) for f in files)


def _seconds(config: EvaluateConfig) -> float | None:
    """Of a run on the config's device: its training, if it is one, and its test list."""
    tried = _with_what_is_here(config)
    device = config.machine_config.use(*config.precisions)
    try:
        seconds = 0.0
        if isinstance(config, TrainRunConfig):
            seconds += _seconds_of_training(tried)
        return seconds + config.test_protocol.episodes * _seconds_of_episode(tried, device)
    except (ConfigError, WeightsError, OSError, ValueError):
        return None


def _seconds_of_training(config: TrainRunConfig) -> float:
    """Its steps, timed in its own loop as long as every picture is new and once again with those
    that a feature cache holds: a picture is new once."""
    changes = {"steps": TRIED + 1, "log_every": 1, "warmup": 0, "validate_every": 0, "patience": 0}
    short = replace(
        config,
        recipe=_changed("recipe", config.recipe, changes),
        protocol=_changed("protocol", config.protocol, {"selection": "last", "held_out": 0}),
        machine=_changed("machine", config.machine, {"clip_cache": 0}),
    )
    with TemporaryDirectory() as folder:
        experiment = Experiment(short, folder)
        new = _seconds_of_step(experiment, Path(folder) / "new")
        again = _seconds_of_step(experiment, Path(folder) / "again")
        pictures = len(experiment.benchmark.areas("train"))
    steps, in_step = (
        config.training.steps,
        config.training.batch_size * config.way * (config.shot + 1),
    )
    different = pictures * (1 - exp(-steps * in_step / pictures))  # of as many drawn one by one
    return steps * again + different / in_step * max(new - again, 0)


def _seconds_of_step(experiment: Experiment, folder: Path) -> float:
    """In the loop of a training that begins in this folder."""
    experiment.folder = folder
    with redirect_stdout(StringIO()):
        experiment.learn()
    rows = read_journal(folder / "metrics.jsonl")
    return (rows[-1]["seconds"] - rows[0]["seconds"]) / TRIED


def _changed(parameter: str, text: str, changes: dict[str, Any]) -> str:
    """A group of parameters with some of them changed."""
    head, own = parse_group(parameter, text)
    return format_group(head, own | changes)


def _seconds_of_episode(config: EvaluateConfig, device: str) -> float:
    benchmark = load_benchmark(config.test_protocol, config.root)
    specs = test_episodes(benchmark, config.test_protocol)[: TRIED + 1]
    method = assemble(config, benchmark, config.test_protocol, encoder_cache(0))
    times = []
    for spec in specs:
        start = perf_counter()
        evaluate(method.to(device), benchmark, config.test_protocol, [spec], device, 1)
        times.append(perf_counter() - start)
    return sum(times[1:]) / max(len(times) - 1, 1)


def _with_what_is_here(config: EvaluateConfig) -> EvaluateConfig:
    """The same with random weights where the config's own are not here, and clusters in place of
    a SAM, which are the only parts that must be downloaded."""
    changes = {}
    for parameter in ("encoder", "backbone", "clip"):
        name, settings = parse_group(parameter, getattr(config, parameter) or "")
        source = settings.get("weights")
        present = not name or name.startswith("scenes") or (source and Path(str(source)).is_file())
        if not present:
            changes[parameter] = format_group(name, settings | {"weights": "random"})
    return replace(config, **changes, parts="")


def check_table(checks: Sequence[Checked]) -> str:
    """A Markdown table, and the licences of all weights."""
    lines = ["| row | runs | hours | missing |", "|" + " --- |" * 4]
    for one in checks:
        hours = "not tried" if one.hours is None else f"{one.hours:.2g}"
        lines.append(f"| {one.row} | {one.runs} | {hours} | {one.trouble or 'nothing'} |")
    named = sorted({licence for one in checks for licence in one.licences})
    known = [one.hours for one in checks if one.hours is not None]
    total = f"All rows that could be tried: {sum(known):.2g} hours, one run after the other."
    return "\n".join([*lines, "", total if known else "No row could be tried.", "", *named])
