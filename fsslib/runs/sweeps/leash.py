"""A run on a leash: it ends when the process that started it is no more, however that one ended.

    python -m fsslib.runs.sweeps.leash 20 fsslib.runs run train -p fold=1

runs a module as `python -m` does. Its standard input is the leash, a pipe whose other end nobody
but the starter holds: the system closes it even after SIGKILL, on every platform and at once.
(Linux's PR_SET_PDEATHSIG is bound to the thread that forked, which in a worker's pool may end
before the process does.) When the leash is gone, the run gets SIGTERM, so that it tells of its end,
and after the seconds of grace SIGKILL.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

import psutil


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and all that it started, kernels in sessions of their own too."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def watch(leash: int, grace: float) -> None:
    """Wait until the other end of the pipe `leash` is closed, then end this process."""
    while os.read(leash, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    kill_tree(os.getpid())


def _hear_interrupts() -> None:
    """A worker is deaf to Ctrl-C; a kernel is interrupted by the same signal before it is shut."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """The command; what the module makes of its arguments is its own."""
    if len(sys.argv) < 3:
        raise SystemExit("expected: python -m fsslib.runs.sweeps.leash SECONDS MODULE ARGUMENTS")
    grace, module = float(sys.argv[1]), sys.argv[2]
    leash = os.dup(0)  # not inherited by what the run starts, as descriptor 0 would be
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    _hear_interrupts()
    threading.Thread(target=watch, args=(leash, grace), daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
