"""Trainings as they are: steps a second, and how much of that is waiting for a batch.

Times are of the wall, because waiting is what is asked about. Beside them stands the processor's
time of this process, which a busy machine hardly changes, and which is all the work there is where
the process loads its batches itself. The loop is the step engine's in short: its loader, its thread
that makes one batch ahead, its optimiser; no journal and no checkpoint. What steps stood still for
their batches is what a journal's `waited_seconds` is. Everything lies in a temporary folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

import torch

from fsslib.bench.config import TrainingSweep
from fsslib.bench.measure import Case, Report, Results, Row, surroundings
from fsslib.bench.timing import require_clock
from fsslib.data.drawn import collate
from fsslib.data.loading import TrainingEpisodes
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.machine import pick_device
from fsslib.training.ahead import Ahead
from fsslib.training.descent import Descent
from fsslib.training.loop import placing
from fsslib.training.optimizers import build_optimizer
from fsslib.training.parts import item_loader

WARM = 2
"""Steps before those that are measured."""
GIGABYTES = 8
"""Of the feature cache, where there is one."""


class Measured(NamedTuple):
    """A training's time for a step, the processor's part of it, and the share that passed until the
    batch was there."""

    milliseconds: float
    processor: float
    share_waiting: float


def measure_training(sweep: TrainingSweep, report: Report = print) -> Results:
    """Every case of a sweep, in turn with the others."""
    device = pick_device(sweep.device)
    require_clock(device)
    cases = sweep.cases()
    report(f"{len(cases)} trainings of {sweep.steps} steps; {sweep.rounds} rounds of them")
    rounds = [[_train(case, device) for case in cases] for _ in range(sweep.rounds)]
    rows = [_row(*pair) for pair in zip(cases, zip(*rounds, strict=True), strict=True)]
    return Results("training", sweep.how(), "wall", surroundings(device), rows)


def _row(case: Case, rounds: Sequence[Measured]) -> Row:
    times, busy, shares = (list(each) for each in zip(*rounds, strict=True))
    facts = {"processor": busy, "share_waiting": median(shares)}
    return Row(case, times, case["batch"], "episodes", **facts)


def _train(case: Case, device: str) -> Measured:
    with tempfile.TemporaryDirectory() as folder, _data_in(folder):
        experiment = Experiment(_config(case, device), Path(folder) / "run")
        if case["cache"] == "later":
            _steps(experiment, case["steps"])
        return _steps(experiment, case["steps"])


def _config(case: Case, device: str):
    """The run that the case describes, checked like any other."""
    embedded = case["backbone"].startswith("scenes")
    weights = "scenes" if embedded else "random"
    return parse(
        "train",
        {
            "method": case["name"],
            "backbone": f"{case['backbone']} weights={weights}",
            "feature_cache": 0 if case["cache"] == "none" else GIGABYTES,
            "device": device,
            "steps": case["steps"] + WARM,
            "train_batch_size": case["batch"],
            "augment": case["augment"],
            "workers": case["workers"],
        },
    )


def _steps(experiment: Experiment, steps: int) -> Measured:
    """One pass over the training's episodes."""
    settings, device, method = experiment.config.training, experiment.device, experiment.method
    method.train()
    optimizer = build_optimizer(
        settings.optimizer, method.parameters(), settings.lr, settings.weight_decay
    )
    descent, begin, busy, waited = Descent(optimizer, device=device), 0.0, 0.0, 0.0
    # One more than is learned from: as many are made as steps are measured.
    loader = _loader(experiment, (steps + WARM + 1) * settings.batch_size)
    place = partial(placing(method), device=torch.device(device))
    with Ahead(loader, place, torch.device(device)) as ahead:
        for number, (_, (batch,)) in zip(range(steps + WARM), ahead, strict=False):
            if number == WARM:
                _wait_for(device)
                begin, busy, waited = perf_counter(), process_time(), ahead.waited
            with ahead.beside():
                terms = method.loss(method(batch), batch)
                descent.down(torch.stack(list(terms.values())).sum(), settings.lr)
        _wait_for(device)
    seconds, busy = perf_counter() - begin, process_time() - busy
    waited = ahead.waited - waited
    return Measured(1000 * seconds / steps, 1000 * busy / steps, waited / seconds)


def _loader(experiment: Experiment, episodes: int):
    settings = experiment.config.training
    augmentation = experiment.augmentation(settings) if settings.augment else None
    stream = TrainingEpisodes(
        experiment.benchmark,
        experiment.protocol,
        episodes,
        settings.seed,
        augmentation=augmentation,
    )
    size, workers = settings.batch_size, settings.workers
    return item_loader(stream, size, 1, workers, experiment.device, collate)


def _wait_for(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


@contextmanager
def _data_in(folder: str) -> Iterator[None]:
    """Caches under `folder` while this lasts."""
    before = os.environ.get("FSSLIB_DATA")
    os.environ["FSSLIB_DATA"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["FSSLIB_DATA"]
        else:
            os.environ["FSSLIB_DATA"] = before
