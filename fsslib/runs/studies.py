"""Studies run and published: one command for all the runs that a paper's claims are checked with.

What each run scored is published beside its siblings (of a pretraining its card). Two processes may
work on one study: each takes what the other one has not begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsslib.files import atomic_path
from fsslib.runs.config import parse
from fsslib.runs.results import published_folder
from fsslib.runs.runner import run, say
from fsslib.runs.status import BusyError, RunError
from fsslib.runs.study import Job, Study

SCORED = ("train", "evaluate")
"""Templates whose results are few-shot scores; others leave weights and their card."""


def run_study(study: Study, rows: Sequence[str] = (), missing: bool = False) -> None:
    """Run what has not been run, and publish every result as soon as it is there.

    What another process is at, and what needs it, is tried again after all others, once.

    Args:
        missing: leave out what is published already, by whomever, unless another run needs it.

    Raises:
        ConfigError: a parameter of any run is wrong; none has started.
        RunError: runs that failed, once all others are done.
    """
    jobs = list(study.jobs(rows))
    for job in jobs:
        parse(job.template, job.parameters)
    later, failed = _run_all(study, _unpublished(study, jobs) if missing else jobs)
    if later:
        later, more = _run_all(study, later)
        failed += more
    if later:
        say(f"left to another process: {', '.join(job.name for job in later)}")
    if failed:
        raise RunError(f"{len(failed)} of the study's runs failed: {', '.join(failed)}")


def _unpublished(study: Study, jobs: Sequence[Job]) -> list[Job]:
    """Runs without a published result, and those whose files they read."""
    wanted = {job.name for job in jobs if not place(study, job).is_file()}
    for job in reversed(jobs):
        wanted |= set(job.needs) if job.name in wanted else set()
    return [job for job in jobs if job.name in wanted]


def _run_all(study: Study, jobs: Sequence[Job]) -> tuple[list[Job], list[str]]:
    """Runs that have to wait for another process, and names of those that failed."""
    later, failed = [], []
    for job in jobs:
        if waiting := {other.name for other in later} & set(job.needs):
            say(f"{job.name}: needs {', '.join(sorted(waiting))}")
            later.append(job)
            continue
        try:
            publish(study, job, run(job.template, job.parameters))
        except BusyError:
            say(f"{job.name}: another process is at it")
            later.append(job)
        except RunError as error:
            say(f"{job.name}: {error}")
            failed.append(job.name)
    return later, failed


def publish(study: Study, job: Job, folder: Path) -> None:
    """Copy a run's `results.json` to where tables and lessons read it, or a pretraining's card."""
    source = folder / "results.json"
    if job.template not in SCORED:
        source = next(path.with_suffix(".json") for path in folder.glob("*.safetensors"))
    with atomic_path(place(study, job)) as temporary:
        temporary.write_text(source.read_text())


def place(study: Study, job: Job) -> Path:
    """Where a run's result is published, or a pretraining's card."""
    scored = job.template in SCORED
    return published_folder() / study.name / ("" if scored else "cards") / f"{job.name}.json"
