"""Studies: which runs a paper's claims are checked with, in one file and one command.

A study is a YAML file in `papermill_runs/sweeps`. Its rows become runs, one a fold and seed, and
what each of them scored is published beside its siblings (of a pretraining its card). Two processes
may work on one study: each takes what the other one has not begun.

    about: what is compared
    always: {feature_cache: 40}      # parameters of every row
    folds: [0, 1, 2, 3]
    seeds: [0]
    rows:
      pfenet: {method: pfenet}       # template `train` unless said otherwise
      frozen: {template: evaluate, method: prototype, folds: [0]}
      tested: {template: evaluate, method: pfenet, head: "@pfenet/head.safetensors"}

"@row/file" is a file in the folder of another row's run, of the same fold and seed. Where nothing
is trained, seeds are those of the episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fsslib.config import ConfigError, require_known, strict
from fsslib.files import atomic_path, repository
from fsslib.runs.config import CONFIGS, parse
from fsslib.runs.results import published_folder
from fsslib.runs.runner import default_folder, run, say
from fsslib.runs.status import BusyError, RunError

SCORED = ("train", "evaluate")
"""Templates whose results are few-shot scores; others leave weights and their card."""


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


@dataclass(frozen=True)
class Study:
    """A study as its file has it."""

    name: str
    about: str
    rows: dict
    always: dict = field(default_factory=dict)
    folds: tuple[int, ...] = (0, 1, 2, 3)
    seeds: tuple[int, ...] = (0,)

    def jobs(self, rows: Sequence[str] = ()) -> Iterator[Job]:
        """The runs of some rows, or of all, fold by fold, so that a table fills evenly.

        Raises:
            ConfigError: an unknown row, or seeds that change nothing.
        """
        for row in rows:
            self.require(row)
        made: dict[tuple[str, str], str] = {}
        for row, fold, seed in self._asked(rows or list(self.rows)):
            job = self.job(row, fold, seed)
            same = made.setdefault((row, repr(job.parameters)), job.name)
            if same != job.name:
                raise ConfigError(
                    f"{job.name} would be {same} once more: what it reads has no such seed; give "
                    "that row the seeds too, or this one an episode_seed"
                )
            yield job

    def _asked(self, rows: Sequence[str]) -> Iterator[tuple[str, int, int]]:
        """Row, fold and seed of each run, in the order of `jobs`."""
        for seed in sorted({seed for row in self.rows for seed in self.of(row, "seeds")}):
            for fold in range(4):
                for row in rows:
                    if fold in self.of(row, "folds") and seed in self.of(row, "seeds"):
                        yield row, fold, seed

    def require(self, row: str) -> None:
        """ConfigError if there is no such row."""
        require_known("row", row, list(self.rows))

    def of(self, row: str, name: str) -> Sequence[int]:
        """Folds or seeds of a row."""
        return self.rows[row].get(name, getattr(self, name))

    def job(self, row: str, fold: int, seed: int) -> Job:
        """A row's run on a fold; parameters that the row's template does not have are left out."""
        given = {k: v for k, v in self.rows[row].items() if k not in ("template", "folds", "seeds")}
        template = self.rows[row].get("template", "train")
        require_known("template", template, sorted(CONFIGS))
        known = CONFIGS[template].__dataclass_fields__
        usual = {name: value for name, value in self.always.items() if name in known}
        # What is not trained can only see other episodes.
        seeded = "seed" if "seed" in known or "head" in given else "episode_seed"
        usual |= {k: v for k, v in (("fold", fold), (seeded, seed)) if k in known}
        parameters, needs = {**usual, **given}, []
        for name, value in parameters.items():
            if isinstance(value, str) and value.startswith("@"):
                source, _, file = value[1:].partition("/")
                needed = self._source(source, fold, seed)
                needs.append(needed.name)
                parameters[name] = str(needed.folder / file)
        return Job(row, fold, seed, template, parameters, tuple(needs))

    def _source(self, row: str, fold: int, seed: int) -> Job:
        """A row's run on this fold and seed, or on its first ones."""
        self.require(row)
        folds, seeds = self.of(row, "folds"), self.of(row, "seeds")
        return self.job(
            row, fold if fold in folds else folds[0], seed if seed in seeds else seeds[0]
        )


def sweeps_folder() -> Path:
    return repository() / "papermill_runs" / "sweeps"


def load_study(name: str) -> Study:
    """The study of a name.

    Raises:
        ConfigError: there is none of that name, or its file has unknown keys.
    """
    require_known("study", name, sorted(path.stem for path in sweeps_folder().glob("*.yaml")))
    return strict(
        Study, {"name": name} | yaml.safe_load((sweeps_folder() / f"{name}.yaml").read_text())
    )


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
