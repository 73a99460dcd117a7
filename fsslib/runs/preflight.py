"""`--check`: whether a study's runs could start here, under whose licences, and how long they take.

Files are asked for as before a run. Hours are measured: where the benchmark is there, the first
episodes of its list are answered at full size, by the true architectures, with random weights in
place of those that are not here yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

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
from fsslib.runs.study import Study

TRIED = 2
"""Episodes that are timed, after one that is not."""


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


def check(study: Study, rows: Sequence[str] = ()) -> Iterator[Checked]:
    """Every row, in the order of the file."""
    jobs = list(study.jobs(rows))
    for row in dict.fromkeys(job.row for job in jobs):
        own = [job for job in jobs if job.row == row]
        config = parse(own[0].template, own[0].parameters)
        if type(config) is not EvaluateConfig:
            yield Checked(row, len(own), "a training: no estimate", (), None)
            continue
        seconds = _seconds(config)
        hours = None if seconds is None else seconds * config.test_protocol.episodes * len(own)
        trouble = _trouble(config)
        yield Checked(row, len(own), trouble, licences(config), hours and hours / 3600)


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
    """Of one episode on the config's device."""
    try:
        benchmark = load_benchmark(config.test_protocol, config.root)
        specs = test_episodes(benchmark, config.test_protocol)[: TRIED + 1]
        tried = _with_what_is_here(config)
        method = assemble(tried, benchmark, tried.test_protocol, encoder_cache(0))
    except (ConfigError, WeightsError, OSError, ValueError):
        return None
    device = config.machine_config.use(*config.precisions)
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
