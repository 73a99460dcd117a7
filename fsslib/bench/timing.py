"""Times of several calls that can be compared: warm, and in turn with each other.

A core's speed drifts, by a factor of 1.7 on a busy machine, so that calls are compared which ran
one right after the other. On a CPU the processor time of this process counts, on CUDA the time
between two events; the device is waited for at the end of all rounds only.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from time import process_time

import torch

from fsslib.config import ConfigError

Call = Callable[[], object]
SHORTEST = 0.02
"""Seconds that a measurement takes at least: shorter calls are made several times."""
LONG = 0.5
"""Seconds from which on a call is warm after one."""


def require_clock(device: str) -> None:
    """ConfigError for a device whose time is not measured here."""
    if torch.device(device).type not in ("cpu", "cuda"):
        raise ConfigError(f"device={device!r}: expected cpu or cuda, whose time can be measured")


def alternated(calls: Sequence[Call], device: str, rounds: int) -> list[list[float]]:
    """Milliseconds of each call, `rounds` times: the first, the second, …, the first again."""
    repeats = [_warm(call, device) for call in calls]
    with _no_garbage_collection():
        marks = [
            [_Mark(call, device, times) for call, times in zip(calls, repeats, strict=True)]
            for _ in range(rounds)
        ]
        if device != "cpu":
            torch.cuda.synchronize(device)
    return [[marks[r][c].milliseconds for r in range(rounds)] for c in range(len(calls))]


class _Mark:
    """One measurement, which can be read when the device is done."""

    def __init__(self, call: Call, device: str, times: int) -> None:
        self.times = times
        self.start = self._now(device)
        for _ in range(times):
            call()
        self.end = self._now(device)

    @property
    def milliseconds(self) -> float:
        if isinstance(self.start, float):
            return 1000 * (self.end - self.start) / self.times
        return self.start.elapsed_time(self.end) / self.times

    @staticmethod
    def _now(device: str) -> float | torch.cuda.Event:
        if device == "cpu":
            return process_time()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _warm(call: Call, device: str) -> int:
    """Call once, a short call twice, and say how many calls a measurement is made of."""
    for _ in range(2):
        mark = _Mark(call, device, 1)
        if device != "cpu":
            torch.cuda.synchronize(device)
        if mark.milliseconds > 1000 * LONG:
            return 1
    return max(1, min(1000, ceil(1000 * SHORTEST / max(mark.milliseconds, 1e-3))))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
