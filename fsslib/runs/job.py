"""A run that waits to be made: of which row, fold and seed it is, and whose files it reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsslib.runs.config import default_folder, parse


@dataclass(frozen=True)
class Job:
    """One run of a study."""

    row: str
    fold: int
    seed: int
    template: str
    parameters: dict[str, Any]
    needs: tuple[str, ...] = ()
    """Names of the runs whose files it reads."""

    @property
    def name(self) -> str:
        return f"{self.row}_f{self.fold}_s{self.seed}"

    @property
    def folder(self) -> Path:
        return default_folder(parse(self.template, self.parameters))


def needs_first(jobs: Sequence[Job]) -> Iterator[Job]:
    """Runs in their order, but each after those of them that it needs."""
    waiting = {job.name: job for job in jobs}

    def ready(job: Job) -> Iterator[Job]:
        if waiting.pop(job.name, None):
            for name in job.needs:
                if name in waiting:
                    yield from ready(waiting[name])
            yield job

    for job in jobs:
        yield from ready(job)
