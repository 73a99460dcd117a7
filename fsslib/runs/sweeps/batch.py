"""Workers that a batch system starts: Slurm and PBS, through dask-jobqueue.

    queue=gpu walltime=02:00:00 memory=32GiB jobs=8 job_extra_directives=--gres=gpu:1

Each job is one worker, unless `processes` says otherwise; names are those of dask-jobqueue, and
`jobs` is how many may wait or run at once. A worker ends its run three minutes before the wall
time, and another job goes on with it.
"""

from __future__ import annotations

import inspect
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import yaml
from dask_jobqueue import JobQueueCluster, PBSCluster, SLURMCluster
from dask_jobqueue.core import Job as JobScript
from distributed import Client

from fsslib.config import ConfigError, cast, require_parameters
from fsslib.runs.sweeps.cluster import Workplace, deaf

SYSTEMS: dict[str, type[JobQueueCluster]] = {"slurm": SLURMCluster, "pbs": PBSCluster}
USUAL = {"cores": 1, "processes": 1, "memory": "16GiB", "walltime": "02:00:00"}
MARGIN = 180
"""Seconds before the wall time in which a run ends in order."""
WHOLE = ("cores", "processes", "jobs", "job_cpu")
LISTS = ("worker_extra_args", "job_extra_directives", "job_script_prologue", "job_directives_skip")
OWN = ("jobs",)


def read_settings(system: str, text: str) -> dict[str, Any]:
    """Settings from "name=value …", or from a YAML file of them, all known and of the right type.

    Raises:
        ConfigError: which one is wrong, and what was expected.
    """
    option = f"--{system}"
    parsed = _from_file(Path(text), option) if text.endswith((".yaml", ".yml")) else _words(text)
    require_parameters(parsed, {*_accepted(SYSTEMS[system]), *OWN}, f"{option}: ")
    settings = USUAL | {name: _typed(name, value, option) for name, value in parsed.items()}
    seconds = _seconds(settings["walltime"], option)
    extra = ["--lifetime", f"{max(seconds - MARGIN, seconds // 2)}s"]
    if has_gpus(settings):
        if settings["processes"] != 1:
            raise ConfigError(
                f"{option}: processes={settings['processes']} would share a job's GPUs; leave it "
                "out, and give more jobs="
            )
        extra += ["--resources", "GPU=1"]
    return settings | {"worker_extra_args": [*extra, *settings.get("worker_extra_args", [])]}


def _words(text: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in shlex.split(text)]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise ConfigError(f"{wrong!r}: expected name=value, or the path of a .yaml file")
    return {name: value for name, _, value in pairs}


def _from_file(path: Path, option: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{option}: {path} cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{option}: {path} holds {content!r}; expected lines of name: value")
    return content


def _accepted(cluster: type[JobQueueCluster]) -> set[str]:
    """Names that dask-jobqueue takes for a job script."""
    makers = (cluster.job_cls.__init__, JobScript.__init__)
    names = {name for maker in makers for name in inspect.signature(maker).parameters}
    return names - {"self", "base_class_kwargs", "scheduler", "name"}


def _typed(name: str, value: Any, option: str) -> Any:
    if name in WHOLE:
        number = cast(value, int, f"{option}: {name}")
        if number < 1:
            raise ConfigError(f"{option}: {name}={number}: expected 1 at least")
        return number
    if name in LISTS:
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]
    if name == "walltime" and isinstance(value, int):  # YAML reads 02:00:00 as 7200
        return f"{value // 3600:02d}:{value // 60 % 60:02d}:{value % 60:02d}"
    return str(value)


def _seconds(walltime: str, option: str) -> int:
    """Of "[days-]hours:minutes:seconds"."""
    days, _, clock = walltime.rpartition("-")
    try:
        hours, minutes, seconds = map(int, clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    except ValueError:
        raise ConfigError(
            f"{option}: walltime={walltime!r}: expected hours:minutes:seconds, such as 02:00:00"
        ) from None


def has_gpus(settings: dict[str, Any]) -> bool:
    """Whether the jobs ask for GPUs."""
    directives = [*settings.get("job_extra_directives", []), settings.get("resource_spec", "")]
    return any("gpu" in text.lower() for text in directives)


@contextmanager
def jobs_of(system: str, settings: dict[str, Any], runs: int) -> Iterator[Workplace]:
    """Workers in jobs of a batch system, as many as there are runs, up to `jobs`."""
    with opened(system, settings) as cluster:
        cluster.adapt(minimum=0, maximum_jobs=min(settings.get("jobs", runs), runs))
        with Client(cluster) as client:
            yield Workplace(client, has_gpus(settings))


@contextmanager
def opened(system: str, settings: dict[str, Any]) -> Iterator[JobQueueCluster]:
    """A scheduler in this process that has not submitted anything yet."""
    # A run takes long: as many jobs as there are runs, not one for many tasks of half a second.
    long_tasks = {"distributed.scheduler.unknown-task-duration": "1h"}
    cluster_settings = {name: value for name, value in settings.items() if name not in OWN}
    options = {"scheduler_options": {"dashboard_address": ":0"}, "silence_logs": logging.ERROR}
    with dask.config.set(long_tasks), deaf():
        cluster = SYSTEMS[system](**cluster_settings, **options)
    with cluster:
        yield cluster


def job_script(system: str, settings: dict[str, Any]) -> str:
    """What would be submitted; nothing is."""
    with opened(system, settings) as cluster:
        return cluster.job_script()
