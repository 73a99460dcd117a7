"""`status.json`: what a run is doing, kept truthful by a heartbeat.

papermill leaves a killed notebook indistinguishable from a running one. Here a run that stops on
its own feet writes how; one that was killed outright stops beating, and readers call it `lost`.
"""

from __future__ import annotations

import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fsslib.config import differences, shown
from fsslib.files import read_json, write_json
from fsslib.grammar import plain_yaml
from fsslib.runs.config import parse
from fsslib.runs.run_config import RunConfig

BEAT_SECONDS = 5.0
LOST_AFTER = 6 * BEAT_SECONDS

RUNNING, LOST = "running", "lost"
LOCK = ".lock"
STATES = (RUNNING, LOST, "finished", "interrupted", "terminated", "failed")


class RunError(RuntimeError):
    """A run that failed or cannot start."""


class BusyError(RunError):
    """Another process is running it."""


def require_own(folder: Path, config: RunConfig, again: bool = False) -> None:
    """RunError unless a folder is new, or this run's; with `again` another run's will do."""
    if file := next((path for path in (folder, *folder.parents) if path.is_file()), None):
        raise RunError(f"{file} is a file; expected a folder (a new one is made): another --out")
    path = folder / "params.yaml"
    if not path.exists():
        others = sorted(each.name for each in folder.glob("*") if not each.name.startswith("."))
        if others:
            raise RunError(
                f"{folder} holds {', '.join(others[:3])}{' …' * (len(others) > 3)} and no "
                "params.yaml of a run, and this one might overwrite it; use another --out, an "
                "empty folder or a new one"
            )
        return
    changed = differences(_parameters_of(path).decisive(), config.decisive())
    if changed and not again:
        raise RunError(
            f"{folder} holds a run with other parameters ({changed}); use another --out, remove "
            "it, or --again to overwrite it"
        )


def _parameters_of(path: Path) -> RunConfig:
    """The typed parameters of a `params.yaml`; RunError for one that no run wrote."""
    try:
        content = dict(plain_yaml(path.read_text()))
        return parse(content.pop("template"), content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} was written by no run of this version ({error}); use another --out, or "
            "remove it"
        ) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process a folder: a lock decides between two that start at once, and the heartbeat tells
    of one on another machine, where a shared file system may not lock.

    Raises:
        BusyError: another process is running it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    status = read_status(folder)
    if status and status["state"] == RUNNING and not _ours(status):
        raise BusyError(
            f"{folder} is being run by process {status['pid']} on {status.get('host')}; "
            "wait or stop it first"
        )
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"{folder} is being run by another process; wait or stop it first"
        ) from None
    except (OSError, NotImplementedError) as error:
        warnings.warn(
            f"{folder} cannot be locked ({error}): do not start the same run twice at once",
            stacklevel=3,
        )
    try:
        yield
    finally:
        lock.release()


class Heartbeat:
    """Context manager that keeps `folder/status.json` up to date while a run lives.

    Leaving it writes `finished`, or `interrupted` (Ctrl-C), `terminated` (SIGTERM) or `failed`
    with the error, and lets the exception pass.
    """

    def __init__(self, folder: Path, **facts: Any) -> None:
        self.path = folder / "status.json"
        now = time.time()
        who = {"pid": os.getpid(), "host": platform.node()}
        self.content = {**facts, "state": RUNNING, **who, "started": now}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._write()
        self.thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self.stop.set()
        self.thread.join()
        states = {None: "finished", KeyboardInterrupt: "interrupted", SystemExit: "terminated"}
        self.content["state"] = states.get(kind, "failed")
        if error is not None:
            self.content["error"] = f"{kind.__name__}: {error}"[:2000]
            with suppress(OSError):  # where nothing can be written, the error itself must get out
                self._write()
            return
        self._write()

    def _beat(self) -> None:
        while not self.stop.wait(BEAT_SECONDS):
            with suppress(OSError):  # a full or absent disk; the next beat may find it back
                self._write()

    def _write(self) -> None:
        self.content["heartbeat"] = time.time()
        write_json(self.path, self.content)


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status of a run as it is now: a `running` one that was killed reads `lost`.

    On the run's own machine that is seen at once; from another one, by the heartbeat's age.

    Raises:
        RunError: the file cannot be read, or is something else.
    """
    path = folder / "status.json"
    if not path.exists():
        return None
    try:
        status = read_json(path, dict)
        known = {"state": STATES, "pid": int, "heartbeat": int | float, "error": str}
        for name, kind in known.items():
            if name not in status and name in ("pid", "error"):
                continue
            value = status.get(name)
            if not (value in kind if isinstance(kind, tuple) else isinstance(value, kind)):
                raise ValueError(f"{name} is {shown(value)}")
        old = time.time() - status["heartbeat"] > LOST_AFTER
        if status["state"] == RUNNING and (old or _gone(status)):
            status["state"] = LOST
        return status
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{path} cannot be read as the status of a run ({str(error) or type(error).__name__}); "
            "remove it, the next run makes it again"
        ) from error


def _ours(status: dict[str, Any]) -> bool:
    return (status["pid"], status.get("host")) == (os.getpid(), platform.node())


def _gone(status: dict[str, Any]) -> bool:
    """Whether the process is known to be no more; not asked on Windows, where asking kills."""
    if os.name != "posix" or status.get("host") != platform.node():
        return False
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # alive, and somebody else's
    except OverflowError:
        return True  # no number of a process
    return False
