"""A run that takes no time to import: `python -m stand_in_run FOLDER STEPS [WHAT]`.

It locks its folder, goes on after its last step, and notes every start, step and end with its
process, as a real run's journal and status do. WHAT: `fails` after its first step, or `stubborn`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

STEP_SECONDS = 0.05


def journal(folder):
    """What runs in a folder have noted: dictionaries of what, pid and time."""
    path = Path(folder) / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(folder, steps, what=""):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if what == "stubborn" else stop)
    try:
        with FileLock(folder / ".lock", blocking=False):
            train(folder, int(steps), what)
    except Timeout:
        sys.exit(75)


def stop(*_):
    raise SystemExit(143)


def train(folder, steps, what):
    def note(event):
        with (folder / "journal.jsonl").open("a") as file:
            file.write(json.dumps({"what": event, "pid": os.getpid(), "time": time.time()}) + "\n")

    def tell(state):
        (folder / "status.json").write_text(json.dumps({"state": state}))

    note("start")
    tell("running")
    try:
        completed = sum(entry["what"] == "step" for entry in journal(folder))
        for _ in range(completed, steps):
            time.sleep(STEP_SECONDS)
            note("step")
            if what == "fails":
                sys.exit("error: it failed by itself")
    except SystemExit as end:
        tell("terminated" if end.code == 143 else "failed")
        raise
    finally:
        note("end")
    tell("finished")


if __name__ == "__main__":
    main(*sys.argv[1:])
