"""Studies run and published: one command for all the runs that a paper's claims are checked with.

What each run scored is published beside its siblings (of a pretraining its card); of a sweep, a
study's file anywhere, results stay where its runs lie. Two processes may work on one study: each
takes what the other one has not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fsslib.files import copy_whole
from fsslib.runs.config import parse
from fsslib.runs.job import Job
from fsslib.runs.results import episodes_beside, published_folder
from fsslib.runs.runner import run, say
from fsslib.runs.status import BusyError, RunError
from fsslib.runs.study import Study
from fsslib.runs.sweeps.launch import is_finished

SCORED = ("train", "evaluate")
"""Templates whose results are few-shot scores; others leave weights and their card."""


@dataclass
class Ending:
    """What became of those runs that did not end well."""

    later: list[Job] = field(default_factory=list)
    """Another process is at them, or at what they need."""
    failed: list[str] = field(default_factory=list)
    """Names, of those too that were not started because what they need failed."""


Done = Callable[[Job, Path], None]
"""Is told of each run that has finished, and its folder."""
Engine = Callable[[Sequence[Job], Done], Ending]
"""Makes runs, one way or another: here, or on the workers of a cluster."""


def run_one_by_one(jobs: Sequence[Job], on_finished: Done) -> Ending:
    """The engine that needs nothing: one run after the other, in this process."""
    ending = Ending()
    for job in jobs:
        if broken := sorted(set(ending.failed) & set(job.needs)):
            say(f"{job.name}: not started, it needs files of {', '.join(broken)}")
            ending.failed.append(job.name)
        elif waiting := sorted({other.name for other in ending.later} & set(job.needs)):
            say(f"{job.name}: needs {', '.join(waiting)}")
            ending.later.append(job)
        else:
            _run_one(job, on_finished, ending)
    return ending


def _run_one(job: Job, on_finished: Done, ending: Ending) -> None:
    try:
        on_finished(job, run(job.template, job.parameters))
    except BusyError:
        say(f"{job.name}: another process is at it")
        ending.later.append(job)
    except RunError as error:
        say(f"{job.name}: {error}")
        ending.failed.append(job.name)


def run_study(
    study: Study,
    rows: Sequence[str] = (),
    missing: bool = False,
    engine: Engine = run_one_by_one,
    published: bool = True,
) -> None:
    """Run what has not been run, and publish every result as soon as it is there.

    What another process is at, and what needs it, is tried again after all others, once.

    Args:
        missing: leave out what is there already, by whomever, unless another run needs it.
        published: what is there lies beside its siblings; if not, in its own folder.

    Raises:
        ConfigError: a parameter of any run is wrong; none has started.
        RunError: runs that failed, once all others are done.
    """
    on_finished: Done = partial(publish, study) if published else _nothing
    ending = engine(jobs_to_run(study, rows, missing, published), on_finished)
    failed = ending.failed
    if ending.later:
        ending = engine(ending.later, on_finished)
        failed += ending.failed
    if ending.later:
        say(f"left to another process: {', '.join(job.name for job in ending.later)}")
    if failed:
        raise RunError(f"{len(failed)} of the study's runs failed: {', '.join(failed)}")


def jobs_to_run(
    study: Study, rows: Sequence[str] = (), missing: bool = False, published: bool = True
) -> list[Job]:
    """The runs that `run_study` makes, each after those it needs; ConfigError for a wrong one."""
    jobs = list(study.jobs(rows))
    for job in jobs:
        parse(job.template, job.parameters)
    if not missing:
        return jobs
    names = {job.name for job in jobs if not _is_there(study, job, published)}
    for job in reversed(jobs):
        names |= set(job.needs) if job.name in names else set()
    return [job for job in jobs if job.name in names]


def _is_there(study: Study, job: Job, published: bool) -> bool:
    return place(study, job).is_file() if published else is_finished(str(job.folder))


def publish(study: Study, job: Job, folder: Path) -> None:
    """Copy a run's episodes and `results.json` to where tables and lessons read them, or a
    pretraining's card."""
    source, target = folder / "results.json", place(study, job)
    if job.template not in SCORED:
        source = next(path.with_suffix(".json") for path in folder.glob("*.safetensors"))
    elif (episodes := episodes_beside(source)).is_file():  # a run of an older version has none
        copy_whole(episodes, episodes_beside(target))
    else:
        episodes_beside(target).unlink(missing_ok=True)
    copy_whole(source, target)


def _nothing(job: Job, folder: Path) -> None:
    """A sweep's results stay in their folder."""


def place(study: Study, job: Job) -> Path:
    """Where a run's result is published, or a pretraining's card."""
    scored = job.template in SCORED
    return published_folder() / study.name / ("" if scored else "cards") / f"{job.name}.json"
