"""A map over many files in a few processes, with a sign of life on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

WORKERS = 2
"""Processes unless told otherwise: decoding is quick, and a laptop should stay usable."""
SMALL = 400
"""Up to so many tasks starting processes costs more than it saves."""


def parallel_map(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    what: str,
    workers: int = WORKERS,
    long: bool = False,
) -> Iterator[Any]:
    """`function` of every task, in order. `function` and tasks must be picklable.

    `long` tasks take seconds each: processes start for two of them, and every one is reported.

    Processes start the platform's usual way (as a DataLoader's do), so that scripts without a
    `__main__` guard work where fork is usual. `what` names the work in the progress lines.

    Raises:
        RuntimeError: a worker process was killed. What `function` raises passes through.
    """
    workers = min(workers, os.cpu_count() or 1)
    small, chunk = (1, 1) if long else (SMALL, 32)
    if len(tasks) <= small or workers <= 1:
        yield from _reported(map(function, tasks), len(tasks), what, small)
        return
    try:
        with ProcessPoolExecutor(workers) as pool:
            results = pool.map(function, tasks, chunksize=chunk)
            yield from _reported(results, len(tasks), what, small)
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"{what}: a worker process was killed. Most likely memory ran out (use fewer workers); "
            "else a damaged file crashed its decoder, and fresh archives help"
        ) from error


def _reported(results: Iterator[Any], total: int, what: str, small: int) -> Iterator[Any]:
    if total <= small:
        yield from results
        return
    tenth = -(-total // 10)
    for number, result in enumerate(results, 1):
        yield result
        if number % tenth == 0 or number == total:
            print(f"{what}: {number:,} of {total:,}", file=sys.stderr, flush=True)
