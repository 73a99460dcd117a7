"""One run as processes of its own: started, watched, and ended when nobody wants it any more.

This is what a worker of a sweep does. It imports nothing of what a run needs, so that a worker is
small and its loss cheap.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fsslib.files import read_json
from fsslib.runs.sweeps.leash import kill_tree

BUSY = 75
"""Exit status of a run that another process is at (EX_TEMPFAIL of sysexits.h)."""
GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL."""
LOOK_EVERY = 0.2
TOLD = 4000
"""Characters of its last words that are kept of a failed run."""


@dataclass(frozen=True)
class Order:
    """A run to be started, by whomever."""

    name: str
    command: tuple[str, ...]
    """A module and its arguments, as after `python -m`."""
    folder: str
    """Where its `status.json` lies; workers see the same file system."""
    cwd: str
    grace: float = GRACE


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    name: str
    state: str
    """finished, failed, terminated (by a signal), busy (another process is at it) or "not started",
    because of a run whose files it needs."""
    text: str = ""
    """Why, in one sentence, or the last words of a run that failed."""


def launch(order: Order, unwanted: Callable[[], bool]) -> Outcome | None:
    """Start a run, and wait for its end.

    Args:
        unwanted: asked several times a second; once it says so, the run is ended.

    Returns:
        How it ended; None if that was because nobody wants it.
    """
    leash = [sys.executable, "-m", "fsslib.runs.sweeps.leash", str(order.grace)]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*leash, *order.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # a run's `log.txt` holds the same
            stderr=words,
            cwd=order.cwd,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if unwanted():
                    return None
                time.sleep(LOOK_EVERY)
        finally:
            end(process, order.grace)
        return _outcome(order, process.returncode, _last(words))


def end(process: subprocess.Popen, grace: float) -> None:
    """SIGTERM for a run's group, then SIGKILL for all that it started."""
    if process.poll() is None:
        _terminate(process)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            process.wait()
    process.stdin.close()


def _terminate(process: subprocess.Popen) -> None:
    if os.name != "posix":
        process.terminate()
        return
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:  # it ended this very moment
        return


def _last(words: IO[bytes]) -> str:
    words.seek(max(0, words.seek(0, os.SEEK_END) - TOLD))
    return words.read().decode(errors="replace").strip()


def _outcome(order: Order, code: int, text: str) -> Outcome:
    """What an exit status means: a negative one names a signal, as one above 128 does."""
    if code == 0:
        return Outcome(order.name, "finished")
    if code == BUSY:
        return Outcome(order.name, "busy", text)
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        known = {int(one): one.name for one in signal.Signals}
        return Outcome(order.name, "terminated", f"ended by {known.get(number, number)}")
    return Outcome(order.name, "failed", text or f"exit status {code}")


def without(name: str, missing: Sequence[Outcome]) -> Outcome:
    """Of a run whose files of others are `missing`: it may still come if they are only busy."""
    state = "busy" if {other.state for other in missing} == {"busy"} else "not started"
    return Outcome(name, state, f"needs files of {', '.join(other.name for other in missing)}")


def is_finished(folder: str) -> bool:
    """Whether a run's own file says so; a worker asks before it starts one again."""
    try:
        return read_json(Path(folder) / "status.json")["state"] == "finished"
    except (OSError, ValueError, LookupError, TypeError):
        return False
