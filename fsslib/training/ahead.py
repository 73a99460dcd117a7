"""One batch ahead: the next step's batch is loaded and brought to the device beside the present
step, in a thread.

The thread works only while a step is taken (`Ahead.beside`), and has finished when what follows it
begins: a checkpoint, a validation with loading processes of its own, a network's next phase never
meet it half-way. So the order of what happens is that of a loop without a thread, but for what a
step and the loading of another batch do at the same time, and they share nothing: batches are made
from generators of their own. A training whose batches come from torch's one generator says so
(`Plan.draws_globally`), and its batches are made between the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple, Self

import torch


class Batch(NamedTuple):
    """A step's parts in the host's memory, and on the device."""

    loaded: Sequence[Any]
    placed: Sequence[Any]


class Ahead:
    """Batches in order, each made while something else is done.

    Args:
        batches: a step's parts each. Loading processes start here and now, not in the thread.
        place: brings a part to the device.
        device: whose memory they go to.
        threaded: False makes every batch when it is asked for.

    Attributes:
        waited: seconds that the caller stood still for batches. (A GPU may be busy meanwhile: it
            still works at what was handed to it.)
    """

    def __init__(
        self,
        batches: Iterable[Sequence[Any]],
        place: Callable[[Any], Any],
        device: torch.device,
        threaded: bool = True,
    ) -> None:
        self.waited = 0.0
        self._batches, self._place = iter(batches), place
        # What belongs to a thread in torch is to be as in this one.
        gpu = torch.cuda.current_device() if device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(1, "batches", _settle, (torch.get_num_threads(), gpu))
        self._threaded = threaded
        self._next: Future[Batch | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def __iter__(self) -> Iterator[Batch]:
        """Batches until there are no more; raises what their loading raised."""
        while (batch := self._taken()) is not None:
            yield batch

    @contextmanager
    def beside(self) -> Iterator[None]:
        """The next batch is made while what is inside is done; afterwards both are."""
        if not self._threaded:
            yield
            return
        self._next = self._thread.submit(self._made)
        try:
            yield
        finally:
            with self._waiting():
                wait([self._next])

    def _taken(self) -> Batch | None:
        if self._next is None:
            with self._waiting():
                return self._made()
        batch, self._next = self._next.result(), None
        return batch

    def _made(self) -> Batch | None:
        """The next batch; None after the last."""
        loaded = next(self._batches, None)
        return loaded and Batch(loaded, [self._place(part) for part in loaded])

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        begin = perf_counter()
        yield
        self.waited += perf_counter() - begin


def _settle(threads: int, gpu: int | None) -> None:
    torch.set_num_threads(threads)
    if gpu is not None:
        torch.cuda.set_device(gpu)
