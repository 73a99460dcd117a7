"""Where the runs of a sweep go: worker processes of this machine, or those of any scheduler of
dask.distributed; `runs.sweeps.batch` has Slurm's and PBS's. Needs the extra `cluster`."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker

import torch
from distributed import Client, Nanny, Scheduler, SpecCluster

from fsslib.config import ConfigError
from fsslib.runs.status import RunError

CONNECT_SECONDS = 20.0


@dataclass
class Workplace:
    """Workers that take runs, and the way to them."""

    client: Client
    gpus: bool
    """Whether workers carry the resource `GPU`, one each."""

    def about(self) -> str:
        """One line: the scheduler, its workers, its dashboard."""
        known = self.client.scheduler_info(n_workers=-1)
        workers, address = len(known["workers"]), known["address"]
        link = self.client.dashboard_link
        if link and find_spec("bokeh"):
            dashboard = f"dashboard {link}"
        else:
            dashboard = "no dashboard (`pip install bokeh` gives one)"
        return f"scheduler {address}, {workers} worker{'s' * (workers != 1)}, {dashboard}"


@contextmanager
def local(workers: int | None = None) -> Iterator[Workplace]:
    """Worker processes of one thread each on this machine.

    Args:
        workers: how many; None: one a GPU, or one a core where there is none. With GPUs each of the
            first workers has one and sees no other, and those beyond have none.
    """
    places = gpu_places()
    count = workers or len(places) or os.cpu_count() or 1
    hidden = {"env": {"CUDA_VISIBLE_DEVICES": ""}} if torch.cuda.is_available() else {}
    options = [*places, *[hidden] * count][:count]
    common = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "silence_logs": logging.ERROR}
    common |= {"dashboard": False}
    spec = {i: {"cls": Nanny, "options": common | own} for i, own in enumerate(options)}
    dashboard = ":8787" if find_spec("bokeh") else ":0"
    settings = {"host": "127.0.0.1", "port": 0, "dashboard_address": dashboard}
    scheduler = {"cls": Scheduler, "options": settings}
    with deaf():
        cluster = SpecCluster(spec, scheduler, silence_logs=logging.ERROR)
    with cluster, Client(cluster) as client:
        yield Workplace(client, bool(places))


@contextmanager
def deaf() -> Iterator[None]:
    """Threads and processes that begin here never hear Ctrl-C, which a terminal sends to all of a
    command's processes: workers that died of it could not end their runs in order."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later it would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def gpu_places() -> list[dict]:
    """What makes a worker own a GPU, for each of this machine's."""
    if torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
        return [{"env": {"CUDA_VISIBLE_DEVICES": n}, "resources": {"GPU": 1}} for n in names]
    return [{"resources": {"GPU": 1}}] if torch.backends.mps.is_available() else []


@contextmanager
def scheduler_at(address: str) -> Iterator[Workplace]:
    """The workers of a scheduler that somebody has started (`dask scheduler`, `dask worker`).

    Raises:
        RunError: nobody answers there.
    """
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise RunError(
            f"no scheduler answers at {address!r} ({error}); start one with `dask scheduler` and "
            "give the address that it prints, such as tcp://node1:8786"
        ) from error
    logger = logging.getLogger("distributed.client")
    before = logger.level
    # A scheduler that goes is said in one sentence, not in a traceback of trying to reach it.
    logger.setLevel(logging.CRITICAL)
    try:
        with client:
            yield Workplace(client, _have_gpus(client))
    finally:
        logger.setLevel(before)


def _have_gpus(client: Client) -> bool:
    known = client.scheduler_info(n_workers=-1)["workers"].values()
    return any("GPU" in worker["resources"] for worker in known)


def resources_of(device: str, gpus: bool) -> dict[str, int] | None:
    """What a run on a device asks of its worker.

    Raises:
        ConfigError: a card by its number, or any where no worker has one.
    """
    wants = device not in ("auto", "cpu")
    if device.startswith("cuda:"):
        raise ConfigError(
            f"device={device!r}: on a cluster each worker sees its own card alone; use 'cuda'"
        )
    if wants and not gpus:
        raise ConfigError(
            f"device={device!r}: no worker has a GPU; start them with `--resources GPU=1`, or use "
            "device=cpu"
        )
    return {"GPU": 1} if gpus and device != "cpu" else None
