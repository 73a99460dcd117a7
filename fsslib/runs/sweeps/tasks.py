"""A run as a task of dask.distributed: what a worker makes of an order.

A lost worker's task goes to another one, where the run goes on from its checkpoint. A task that
ends its run because its worker stops (SIGTERM, a batch job's time limit) asks to be given out
again. What a run fails of by itself is an answer, no exception: nobody tries it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from distributed import Reschedule, get_worker
from distributed.core import Status

from fsslib.runs.sweeps.launch import LOOK_EVERY, Order, Outcome, is_finished, launch, without

PATIENCE = 60.0
"""Seconds to wait for another process at the same run: a lost worker's may need its grace to end,
and one on a machine that went down counts as alive for half a minute."""
RETRY_EVERY = 2.0
STOPPING = 3.0
"""Seconds in which a worker learns that it is to stop, after the signal that its run got, too."""


def run_task(order: Order, topic: str, *needed: Outcome) -> Outcome:
    """Run an order on this worker, and tell `topic` of its start and end.

    Args:
        needed: how the runs ended whose files this one reads.

    Raises:
        Reschedule: this worker stops, or nobody wants the task any more.
    """
    if missing := [other for other in needed if other.state != "finished"]:
        return without(order.name, missing)
    if is_finished(order.folder):
        return Outcome(order.name, "finished")
    worker, unwanted = get_worker(), _unwanted()
    about = {"name": order.name, "where": str(worker.name)}
    worker.log_event(topic, about | {"event": "started"})
    outcome = _patiently(order, unwanted)
    if outcome is not None and outcome.state == "terminated" and _soon(unwanted):
        outcome = None
    worker.log_event(topic, about | {"event": "ended"})
    if outcome is None:
        raise Reschedule
    return outcome


def _patiently(order: Order, unwanted: Callable[[], bool]) -> Outcome | None:
    """`launch`, again and again for a while where another process is at the run."""
    until = time.monotonic() + PATIENCE
    while True:
        outcome = launch(order, unwanted)
        if outcome is None or outcome.state != "busy" or time.monotonic() > until:
            return outcome
        time.sleep(RETRY_EVERY)


def _soon(unwanted: Callable[[], bool]) -> bool:
    until = time.monotonic() + STOPPING
    while not (answer := unwanted()) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    return answer


def _unwanted() -> Callable[[], bool]:
    """Whether this worker stops, or its present task was cancelled or given to another one.

    Distributed interrupts no thread: the task has to look for itself.
    """
    worker: Any = get_worker()
    key = worker.get_current_task()

    def ask() -> bool:
        task = worker.state.tasks.get(key)
        alive = worker.status in (Status.running, Status.paused)
        return not alive or task is None or task.state not in ("executing", "long-running")

    return ask
