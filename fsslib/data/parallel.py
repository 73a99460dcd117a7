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
    function: Callable[[Any], Any], tasks: Sequence[Any], what: str, workers: int = WORKERS
) -> Iterator[Any]:
    """`function` of every task, in order. `function` and tasks must be picklable.

    Processes start the platform's usual way (as a DataLoader's do), so that scripts without a
    `__main__` guard work where fork is usual. `what` names the work in the progress lines.

    Raises:
        RuntimeError: a worker process was killed. What `function` raises passes through.
    """
    workers = min(workers, os.cpu_count() or 1)
    if len(tasks) <= SMALL or workers <= 1:
        yield from _reported(map(function, tasks), len(tasks), what)
        return
    try:
        with ProcessPoolExecutor(workers) as pool:
            yield from _reported(pool.map(function, tasks, chunksize=32), len(tasks), what)
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"{what}: a worker process was killed. Most likely memory ran out (use fewer workers); "
            "else a damaged file crashed its decoder, and fresh archives help"
        ) from error


def _reported(results: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    if total <= SMALL:
        yield from results
        return
    tenth = -(-total // 10)
    for number, result in enumerate(results, 1):
        yield result
        if number % tenth == 0 or number == total:
            print(f"{what}: {number:,} of {total:,}", file=sys.stderr, flush=True)
