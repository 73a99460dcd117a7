"""What a machine does in all when several processes work on it, each for itself.

Times are of the wall: with two processes on one core each takes twice as long, which a processor's
time would not show. A row's time is that of a call by any of them.
"""

from __future__ import annotations

from queue import Empty
from time import perf_counter
from typing import Any

import torch
from torch import multiprocessing

from fsslib.bench.config import ProcessSweep
from fsslib.bench.measure import Case, Report, Results, Row, surroundings
from fsslib.bench.timing import require_clock
from fsslib.bench.work import method_work
from fsslib.runs.machine import limit_threads_of_kernels, pick_device


def measure_processes(sweep: ProcessSweep, report: Report = print) -> Results:
    """Every case of a sweep, one after the other."""
    device = pick_device(sweep.device)
    require_clock(device)
    limit_threads_of_kernels()
    rows = []
    for case in sweep.cases():
        report(f"{case['name']}, {case['work']}: {case['processes']} processes")
        rows.append(_row(case, device, sweep.rounds, sweep.seconds))
    return Results("processes", sweep.how(), "wall", surroundings(device), rows)


def _row(case: Case, device: str, rounds: int, seconds: float) -> Row:
    context, number = multiprocessing.get_context("spawn"), case["processes"]
    together, answers = context.Barrier(number), context.Queue()
    work = (case, device, rounds, seconds, together, answers)
    started = [context.Process(target=_worker, args=work, daemon=True) for _ in range(number)]
    for process in started:
        process.start()
    try:
        speeds = [_answer(answers, started) for _ in started]
    finally:
        together.abort()  # nobody waits any more, unless another has died
        for process in started:
            process.join(timeout=10)
            process.kill()
    calls_per_second = [sum(each) for each in zip(*speeds, strict=True)]
    return Row(case, [1000 / rate for rate in calls_per_second], case["batch"], "episodes")


def _answer(answers: Any, started: list[Any]) -> list[float]:
    """A worker's calls a second in each round.

    Raises:
        RuntimeError: one has died instead.
    """
    while True:
        try:
            return answers.get(timeout=1)
        except Empty:
            if any(process.exitcode for process in started):
                raise RuntimeError("a process ended with an error; its text is above") from None


def _worker(
    case: Case, device: str, rounds: int, seconds: float, together: Any, answers: Any
) -> None:
    """Calls a second in each round, which all processes begin together."""
    work, speeds = method_work(case, pick_device(device)), []
    work.call()
    for _ in range(rounds):
        together.wait()
        begin, calls = perf_counter(), 0
        while perf_counter() - begin < seconds:
            work.call()
            calls += 1
            _wait_for(device)
        speeds.append(calls / (perf_counter() - begin))
    answers.put(speeds)


def _wait_for(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)
