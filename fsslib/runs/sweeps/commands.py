"""A study's runs as commands, for workers and for users of other schedulers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fsslib.files import runs_folder, shown_path
from fsslib.grammar import reads_as_itself
from fsslib.runs.job import Job
from fsslib.runs.sweeps.launch import Order


def order_of(job: Job) -> Order:
    """What a worker is told to start; relative paths are those of this working directory."""
    command = ("fsslib.runs", *arguments(job))
    return Order(job.name, command, str(job.folder), str(Path.cwd()))


def arguments(job: Job, path: Callable[[Path], str] = str) -> list[str]:
    """A run's arguments after `python -m fsslib.runs`, with its folder.

    Args:
        path: how folders of runs are written.
    """
    words, runs = ["run", job.template], f"{runs_folder()}/"
    for name, value in job.parameters.items():
        if isinstance(value, str) and value.startswith(runs):
            value = path(Path(value))
        words += ["-p", f"{name}={as_text(value)}"]
    return [*words, "--out", path(job.folder)]


def as_text(value: Any) -> str:
    """A value as `-p name=` reads it back: bare where YAML takes a text for that text."""
    if isinstance(value, str) and reads_as_itself(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def listing(jobs: Sequence[Job]) -> str:
    """A command a line, each after those whose files it reads, which a comment names."""
    lines = []
    names = {job.name for job in jobs}
    for number, job in enumerate(jobs, 1):
        command = shlex.join(["python", "-m", "fsslib.runs", *arguments(job, shown_path)])
        needs = [name for name in job.needs if name in names]
        after = f", after {', '.join(needs)}" if needs else ""
        lines.append(f"{command}  # {number}: {job.name}{after}")
    return "\n".join(lines)
