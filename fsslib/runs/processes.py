"""Several processes for one piece of work, started by `torchrun` from wherever a run is.

    if in_processes(learn, config, folder):
        ...  # they have done it, and left their checkpoint

A notebook's kernel trains by calling a function of (config, folder). With `processes=N` it first
has N workers (`runs/worker.py`) call that function, shows what the first of them prints, and then
goes on from their files as if it had done the work itself. Inside of a worker nothing is started.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fsslib.config import ConfigError
from fsslib.files import PACKAGE
from fsslib.runs.config import CONFIGS
from fsslib.runs.machine import THREADS, pick_device
from fsslib.runs.run_config import RunConfig
from fsslib.runs.status import RunError
from fsslib.training.processes import launched

ERROR = "fsslib-worker-error "
"""What the line begins with by which a worker says why it ends."""
STARTER = "FSSLIB_STARTED_BY"
"""The process whose end ends the workers."""
_ENDED = re.compile(r"rank\s*: (\d+) \(local_rank: \d+\)\s+exitcode\s*: (-?\d+)")
"""In torchrun's summary of who failed; its log has lines much like it."""
_SECONDS_TO_END = 10

Work = Callable[..., Any]


def in_processes(work: Work, config: RunConfig, folder: Path, *more: str) -> bool:
    """Have `work(config, folder, *more)` done by as many processes as the config's machine says;
    False, and nothing done, where that is one, or where this is one of them.

    Args:
        work: a function of a module, for it is called by its name.

    Raises:
        RunError: a worker was killed, or failed; an error of fsslib's own is raised as it is.
        ConfigError: more processes than GPUs.
    """
    count = config.machine_config.processes
    if count == 1 or launched() > 1:
        return False
    _require_gpus(pick_device(config.machine_config.device), count)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", "--monitor-interval=0.2", "-m", "fsslib.runs.worker"]
    command += [f"{work.__module__}:{work.__qualname__}", _told(config)]
    command += [str(folder.resolve()), *more]
    with tempfile.TemporaryFile("w+") as talk:
        code, errors = _shown(command, talk)
        talk.seek(0)
        if code:
            raise _reason(count, talk.read(), errors)
    return True


def _told(config: RunConfig) -> str:
    """A configuration in a word of a command line."""
    template = next(name for name, kind in CONFIGS.items() if kind is type(config))
    return json.dumps({"template": template, "parameters": asdict(config)})


def _require_gpus(device: str, count: int) -> None:
    gpus = torch.cuda.device_count()
    if device.startswith("cuda") and gpus < count:
        raise ConfigError(
            f"processes={count}: this machine has {gpus} GPU{'s' * (gpus > 1)}, one for each "
            f"process; use processes={gpus}"
        )


def _shown(command: list[str], talk: Any) -> tuple[int, list[dict[str, Any]]]:
    """Run a command, print its lines as they come; its exit code, and what workers say of errors.

    Whatever ends this, Ctrl-C too, ends the workers.
    """
    known = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([str(PACKAGE.parent), *([known] if known else [])])
    own = {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", STARTER: str(os.getpid())}
    environment = {THREADS: "1", **os.environ, **own}
    options = {"stdout": subprocess.PIPE, "stderr": talk, "text": True, "env": environment}
    process = subprocess.Popen(command, start_new_session=True, **options)
    errors = []
    try:
        for line in process.stdout:
            if line.startswith(ERROR):
                errors.append(json.loads(line.removeprefix(ERROR)))
            else:
                print(line, end="", flush=True)
        return process.wait(), errors
    finally:
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """End torchrun, which ends its workers; they end by themselves where it could not."""
    process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reason(count: int, talk: str, errors: list[dict[str, Any]]) -> Exception:
    """Why the workers ended: the one that was killed, or else the first error that one told. When
    one is killed, others fail for want of it, or are ended by torchrun with SIGTERM."""
    ends = [(int(rank), -int(code)) for rank, code in _ENDED.findall(talk)]
    for rank, number in sorted(ends, key=lambda end: (end[1] == signal.SIGTERM, end)):
        if number > 0:
            name = signal.Signals(number).name
            why = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return RunError(
                f"process {rank} of {count} (0 to {count - 1}) was ended by {name}{why}, and the "
                "others with it; the same command goes on from the last checkpoint"
            )
    for error in errors:
        print(error["traceback"], end="", flush=True)
        kind = getattr(importlib.import_module(error["module"]), error["name"], None)
        if error["module"].startswith("fsslib.") and kind is not None:
            return kind(error["message"])
        return RunError(f"process {error['rank']} of {count}: {error['name']}: {error['message']}")
    return RunError(f"{count} processes could not be started: {talk[-2000:]}")
