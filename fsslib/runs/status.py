"""`status.json`: what a run is doing, kept truthful by a heartbeat.

papermill leaves a killed notebook indistinguishable from a running one. Here a run that stops on
its own feet writes how; one that was killed outright stops beating, and readers call it `lost`.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from fsslib.files import read_json, write_json

BEAT_SECONDS = 5.0
LOST_AFTER = 6 * BEAT_SECONDS

RUNNING, LOST = "running", "lost"


class Heartbeat:
    """Context manager that keeps `folder/status.json` up to date while a run lives.

    Leaving it writes `finished`, or `interrupted` (Ctrl-C), `terminated` (SIGTERM) or `failed`
    with the error, and lets the exception pass.
    """

    def __init__(self, folder: Path, **facts: Any) -> None:
        self.path = folder / "status.json"
        now = time.time()
        self.content = {**facts, "state": RUNNING, "pid": os.getpid(), "started": now}
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
        self._write()

    def _beat(self) -> None:
        while not self.stop.wait(BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        self.content["heartbeat"] = time.time()
        write_json(self.path, self.content)


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status of a run as it is now: `running` without a recent heartbeat reads `lost`."""
    path = folder / "status.json"
    if not path.exists():
        return None
    status = read_json(path)
    if status["state"] == RUNNING and time.time() - status["heartbeat"] > LOST_AFTER:
        status["state"] = LOST
    return status
