"""Makes a study's runs on a cluster, shows how they stand, and stops them in order by Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from fsslib.runs.config import parse
from fsslib.runs.job import Job
from fsslib.runs.runner import say
from fsslib.runs.studies import Done, Ending
from fsslib.runs.sweeps.board import Board
from fsslib.runs.sweeps.cluster import Workplace, resources_of
from fsslib.runs.sweeps.commands import order_of
from fsslib.runs.sweeps.failures import block
from fsslib.runs.sweeps.launch import Outcome
from fsslib.runs.sweeps.sweep import Sweep


class ClusterEngine:
    """Makes a study's runs on a cluster (`studies.Engine`)."""

    def __init__(
        self, opened: Callable[[int], AbstractContextManager[Workplace]], live: bool | None = None
    ) -> None:
        self.opened, self.live = opened, live

    def __call__(self, jobs: Sequence[Job], on_finished: Done) -> Ending:
        """Run them all.

        Raises:
            ConfigError: a device that no worker can have.
            RunError: the scheduler is gone.
            KeyboardInterrupt, SystemExit: stopped by Ctrl-C or SIGTERM; all runs have been ended.
        """
        if not jobs:
            return Ending()
        by_name = {job.name: job for job in jobs}

        def ended(outcome: Outcome) -> None:
            if outcome.state == "finished":
                on_finished(by_name[outcome.name], by_name[outcome.name].folder)

        with signals() as caught, self.opened(len(jobs)) as workplace:
            sweep = sweep_of(jobs, workplace)
            say(workplace.about())
            with Board(self.live) as board:
                if not caught.is_set():
                    sweep.submit()
                outcomes = sweep.follow(board, caught.is_set, ended)
                if caught.is_set():
                    board.note("stopping: workers end their runs")
                    sweep.cancel(board)
        if caught.is_set():
            raise caught.error()
        return ending_of(jobs, outcomes)


def sweep_of(jobs: Sequence[Job], workplace: Workplace) -> Sweep:
    """A study's runs as orders; ConfigError for a device that no worker has."""
    devices = {job.name: parse(job.template, job.parameters).machine_config.device for job in jobs}
    resources = {name: resources_of(device, workplace.gpus) for name, device in devices.items()}
    needs = {job.name: job.needs for job in jobs}
    return Sweep(workplace.client, [order_of(job) for job in jobs], needs, resources)


def ending_of(jobs: Sequence[Job], outcomes: Mapping[str, Outcome]) -> Ending:
    """What has not finished, said at the end: a failed run with its cell."""
    ending = Ending()
    for job in jobs:
        outcome = outcomes[job.name]
        if outcome.state == "busy":
            ending.later.append(job)
        elif outcome.state != "finished":
            ending.failed.append(job.name)
            say(block(outcome, job.folder))
    return ending


class Caught(threading.Event):
    """Set by the signal that is to stop a sweep."""

    number = signal.SIGINT

    def error(self) -> BaseException:
        """What the signal would have raised by itself."""
        if self.number == signal.SIGINT:
            return KeyboardInterrupt()
        say("stopped; run the same command again to go on")
        return SystemExit(143)


@contextmanager
def signals() -> Iterator[Caught]:
    """Ctrl-C and SIGTERM become an event that the sweep looks at, so that nothing of dask is torn
    in the middle. A second Ctrl-C waits for nobody."""
    caught = Caught()

    def catch(number: int, _: object) -> None:
        if caught.is_set():
            raise KeyboardInterrupt
        caught.number = number
        caught.set()

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
