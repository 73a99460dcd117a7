"""Several processes of a test, without what importing torch costs each.

They are forks of a server that has imported everything and done nothing: a process that has learned
on a device cannot be forked.
"""

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from typing import Any

from torch import distributed


def in_forks(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)` returns in each of `count` processes that are connected by gloo, in
    order of their ranks; an error of one is raised here. `work` is a function of a module."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["conftest", "tiny_trainings", "fsslib.runs.experiment"])
    port, answers = free_port(), fork.Queue()
    payload = pickle.dumps((work, arguments))  # tensors by value, not by handle
    started = [
        fork.Process(target=_one, args=(rank, count, port, answers, payload))
        for rank in range(count)
    ]
    for process in started:
        process.start()
    try:
        results = dict(_answer(answers) for _ in started)
    finally:
        for process in started:
            process.kill()
            process.join()
    return [results[rank] for rank in range(count)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answer(answers: Any) -> tuple[int, Any]:
    rank, result, error = answers.get(timeout=120)
    assert error is None, f"process {rank}:\n{error}"
    return rank, pickle.loads(result)


def _one(rank: int, count: int, port: int, answers: Any, payload: bytes) -> None:
    of_launcher = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in (of_launcher | where).items()})
    try:
        work, arguments = pickle.loads(payload)
        result = work(*arguments)
        if distributed.is_initialized():
            distributed.barrier()
            distributed.destroy_process_group()
        answers.put((rank, pickle.dumps(result), None))
    except BaseException:
        answers.put((rank, None, traceback.format_exc()))
        raise
