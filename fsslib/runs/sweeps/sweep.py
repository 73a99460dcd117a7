"""Runs on their way through a cluster: given out, followed, and called back.

Each run is one task, and the runs whose files it reads are the tasks that it depends on. What is
known of a run comes from its task, from what its worker tells, and from its own folder.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker

from fsslib.runs.status import RunError
from fsslib.runs.sweeps.board import Board, Row
from fsslib.runs.sweeps.launch import Order, Outcome, without
from fsslib.runs.sweeps.tasks import run_task

LOOK_EVERY = 0.5
ANSWER = 5  # seconds that a look waits for an answer that is said to be here
REVIVALS = 10
"""How often a run is given out again that dask has given up: each time four of its workers died."""


class Sweep:
    """Orders on their way through a cluster.

    Args:
        orders: each after those it needs.
        needs: names of the orders whose files an order reads.
        resources: what an order asks of its worker.
    """

    def __init__(
        self,
        client: Client,
        orders: Sequence[Order],
        needs: Mapping[str, Sequence[str]] | None = None,
        resources: Mapping[str, dict[str, int] | None] | None = None,
    ) -> None:
        self.client, self.orders = client, list(orders)
        self.needs, self.resources = needs or {}, resources or {}
        self.rows = {order.name: Row(order.name, Path(order.folder)) for order in orders}
        self.outcomes: dict[str, Outcome] = {}
        self.futures: dict[str, Future] = {}
        self.revived: dict[str, int] = {}
        self.topic = f"fsslib-{uuid.uuid4().hex}"

    def submit(self) -> None:
        """Give everything out."""
        self.client.subscribe_topic(self.topic, self._hear)
        for order in self.orders:
            needed = [n for n in self.needs.get(order.name, ()) if n in self.futures]
            self.rows[order.name].needs = needed
            self.futures[order.name] = self.client.submit(
                run_task,
                order,
                self.topic,
                *[self.futures[name] for name in needed],
                key=f"{order.name}-{self.topic}",
                resources=self.resources.get(order.name),
                pure=False,
            )

    def follow(
        self, board: Board, stop: Callable[[], bool], ended: Callable[[Outcome], None]
    ) -> dict[str, Outcome]:
        """Wait until all have ended, or `stop` says that no more are wanted; how they ended.

        Args:
            ended: is told of each as soon as it has.
        """
        while len(self.outcomes) < len(self.orders) and not stop():
            for name, future in self.futures.items():
                if name not in self.outcomes and (outcome := self._outcome(name, future)):
                    self._end(outcome)
                    ended(outcome)
            board.show(self.rows.values())
            time.sleep(LOOK_EVERY)
        return self.outcomes

    def _end(self, outcome: Outcome) -> None:
        """Note how a run ended, and that it took along what needs its files.

        Answers are let go: one that were lost with its worker would be asked for again, and a run
        that had failed by its own error be repeated.
        """
        self.outcomes[outcome.name] = outcome
        self.rows[outcome.name].ended(outcome)
        if outcome.state != "finished":
            for name, future in self.futures.items():
                if name not in self.outcomes and outcome.name in self.rows[name].needs:
                    future.cancel()
                    self._end(without(name, [outcome]))
        self.futures[outcome.name].release()

    def cancel(self, board: Board) -> None:
        """Call everything back; returns when the workers have ended their runs."""
        left = [future for name, future in self.futures.items() if name not in self.outcomes]
        self.client.cancel(left, force=True)
        grace = max((order.grace for order in self.orders), default=0.0)
        until = time.monotonic() + 2 * grace
        while any(row.state == "running" for row in self.rows.values()):
            board.show(self.rows.values())
            if time.monotonic() > until:
                break
            time.sleep(LOOK_EVERY)

    def _hear(self, event: tuple[float, Any]) -> None:
        """What a worker tells, in the client's own thread."""
        about = event[1]
        row = self.rows[about["name"]]
        if about["event"] == "started":
            row.started(about["where"])
        else:
            row.stopped(about["where"])

    def _outcome(self, name: str, future: Future) -> Outcome | None:
        """How a run ended, None while it has not."""
        if future.status in ("cancelled", "lost"):
            raise RunError("the scheduler is gone; the same command goes on")
        if future.status not in ("finished", "error"):
            return None
        try:
            error = future.exception(timeout=ANSWER)
            if error is None:
                return future.result(timeout=ANSWER)
        except TimeoutError:
            # Its answer went with its worker, or what it needs was revived: it will be asked anew.
            return None
        if isinstance(error, KilledWorker) and self.revived.get(name, 0) < REVIVALS:
            self.revived[name] = self.revived.get(name, 0) + 1
            future.retry()
            return None
        return Outcome(name, "failed", f"{type(error).__name__}: {error}")
