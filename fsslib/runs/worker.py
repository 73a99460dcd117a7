"""One of several processes that share a piece of work: what `torchrun` starts.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m fsslib.runs.worker \
        fsslib.runs.experiment:learn '{"template": "train", "parameters": {}}' FOLDER

`runs/processes.py` does so for `processes=2`. The first process speaks, the others are silent; one
that fails says why in a line for whoever started it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from torch import distributed

from fsslib.runs.config import parse
from fsslib.runs.machine import pick_device
from fsslib.runs.processes import ERROR, STARTER
from fsslib.training.processes import own_share, processes

_EVERY_SECONDS = 0.5


def main(work: str, message: str, folder: str, *more: str) -> int:
    """Call `module:function` with a configuration and a folder; 1 if it failed."""
    out = sys.stdout
    _stay_with_the_starter()
    try:
        if own_share().rank:
            sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        else:
            sys.stderr = sys.stdout
        content = json.loads(message)
        config = parse(content["template"], content["parameters"])
        processes(pick_device(config.machine_config.device))
        module, _, name = work.partition(":")
        getattr(importlib.import_module(module), name)(config, Path(folder), *more)
        distributed.destroy_process_group()
        return 0
    except Exception as error:
        print(ERROR + json.dumps(_described(error)), file=out, flush=True)
        return 1


def _described(error: Exception) -> dict[str, str | int]:
    kind = type(error)
    return {
        "rank": own_share().rank,
        "module": kind.__module__,
        "name": kind.__qualname__,
        "message": str(error),
        "traceback": traceback.format_exc(),
    }


def _stay_with_the_starter() -> None:
    """End with torchrun and with whoever started it, also where those are killed outright."""
    parent, starter = os.getppid(), int(os.environ.get(STARTER, 0))
    if not starter:
        return

    def watch() -> None:
        while os.getppid() == parent and _lives(starter):
            time.sleep(_EVERY_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    if main(*sys.argv[1:]):
        os._exit(1)  # at once: leaving a group that has lost a member may take minutes
