"""What Ctrl-C and SIGTERM do to a run in this process: it ends truthfully, in one sentence."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminate_as_exit() -> Iterator[None]:
    """SIGTERM raises SystemExit, so that a cluster's kill still leaves a truthful status."""

    def leave(*_: object) -> None:
        raise SystemExit(143)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not the main thread, which alone may handle signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def without_asyncios_report() -> Iterator[None]:
    """What interrupts the inside is told of by who catches it, and not by asyncio again.

    A notebook is executed by tasks of an event loop. A signal may come while one of them runs, and
    the tasks that it leaves are let go of much later: asyncio then writes a page about each, that
    nobody asked for its exception, or that it never ended. Real errors of tasks are still told.
    """
    logger, interrupted = logging.getLogger("asyncio"), False
    logger.addFilter(_of_no_interrupt)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
        raise
    finally:
        if not interrupted:  # else for good, as nobody knows when the tasks go
            logger.removeFilter(_of_no_interrupt)


def _of_no_interrupt(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    left = error is None and record.getMessage().startswith("Task was destroyed but it is pending")
    return not left and not isinstance(error, KeyboardInterrupt | SystemExit)
