"""A sweep that loses its workers; `python tests/runs/killed_workers.py` shows it, a test asserts.

A scheduler and three workers are started as a user would on three machines. Two trainings and an
evaluation begin; two more evaluations wait for the trainings' heads. One training's worker is
killed with SIGKILL, the other one's told to stop by SIGTERM, both in mid-training. The same runs
are then made one by one in other folders, and everything that they scored is compared.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from pathlib import Path

import psutil

SMALL = {"image_size": 65, "episodes": 12, "workers": 0}
STUDY = {
    "name": "killed",
    "about": "a training and what reads its head",
    "always": SMALL,
    "folds": [0, 1],
    "rows": {
        "panet": {"method": "panet", "steps": 40, "train_batch_size": 2, "checkpoint_every": 2},
        "tested": {"template": "evaluate", "method": "panet", "head": "@panet/head.safetensors"},
        "prototype": {"template": "evaluate", "method": "prototype", "folds": [0]},
    },
}


@dataclass(eq=False)  # threads are known by themselves
class Witness(threading.Thread):
    """Looks all the time which kernels are at which run, and what its `status.json` says."""

    folders: dict[str, Path]
    kernels: dict[str, set[int]] = field(default_factory=dict)
    at_once: dict[str, int] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self):
        super().__init__(daemon=True)
        self.stop = threading.Event()
        for known, empty in ((self.kernels, set), (self.at_once, int), (self.states, list)):
            known.update({name: empty() for name in self.folders})

    def run(self):
        while not self.stop.wait(0.2):
            living = self._kernels()
            for name, folder in self.folders.items():
                alive = {pid for pid, where in living.items() if where == str(folder)}
                self.kernels[name] |= alive
                self.at_once[name] = max(self.at_once[name], len(alive))
                state = state_of(folder)
                if state and self.states[name][-1:] != [state]:
                    self.states[name].append(state)

    def _kernels(self):
        """Process -> its folder, of kernels; what a kernel itself starts is not counted."""
        living = {}
        for process in psutil.process_iter(["cmdline", "ppid"]):
            if "ipykernel_launcher" in (process.info["cmdline"] or ()):
                try:
                    if process.status() != psutil.STATUS_ZOMBIE:
                        living[process.pid] = (process.info["ppid"], process.cwd())
                except psutil.Error:
                    continue
        return {pid: where for pid, (parent, where) in living.items() if parent not in living}


def state_of(folder):
    """What a run's own file says, as it stands there."""
    try:
        return json.loads((folder / "status.json").read_text())["state"]
    except (OSError, ValueError):
        return None


@contextmanager
def runs_below(folder):
    """Runs go to other folders than those of the repository."""
    from fsslib.runs import job
    from fsslib.runs.config import run_id

    usual = job.default_folder
    job.default_folder = lambda config: folder / config.run_name / run_id(config)
    try:
        yield
    finally:
        job.default_folder = usual


@contextmanager
def started(*arguments):
    """A command of dask as a process of its own."""
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def kill_two(client, workers, trainings, where):
    """SIGKILL for the worker of the first training, SIGTERM for that of the second one.

    The first signal goes to the worker process alone, in whose place its nanny starts another one;
    the second one to the command, as from a batch system, and that worker does not come back.
    """
    pids = client.run(os.getpid)
    known = client.scheduler_info(n_workers=-1)["workers"].items()
    pids = {about["name"]: pids[address] for address, about in known}
    for job, number in zip(trainings, (signal.SIGKILL, signal.SIGTERM), strict=True):
        while not (job.folder / "checkpoint.pt").exists():
            time.sleep(0.1)
        name = where(job.name)
        os.kill(pids[name] if number == signal.SIGKILL else workers[name].pid, number)
        print(f"-- {number.name} for worker {name}, in the middle of {job.name}", flush=True)


def sweep_with_kills(jobs, folder):
    """The runs on three workers of which two are killed; how they ended, and who saw what."""
    from fsslib.runs.sweeps.board import Board
    from fsslib.runs.sweeps.cluster import scheduler_at
    from fsslib.runs.sweeps.cluster_engine import sweep_of

    file = str(folder / "scheduler.json")
    witness = Witness({job.name: job.folder for job in jobs})
    with ExitStack() as stack:
        usual = ("--host", "127.0.0.1", "--no-dashboard")
        stack.enter_context(
            started("dask_scheduler", "--port", "0", "--scheduler-file", file, *usual)
        )
        command = ("dask_worker", "--scheduler-file", file, "--nthreads", "1", *usual)
        names = ["one", "two", "three"]
        workers = {n: stack.enter_context(started(*command, "--name", n)) for n in names}
        while not Path(file).exists():
            time.sleep(0.1)
        workplace = stack.enter_context(scheduler_at(json.loads(Path(file).read_text())["address"]))
        workplace.client.wait_for_workers(len(names))
        print(workplace.about())
        sweep = sweep_of(jobs, workplace)
        trainings = [job for job in jobs if job.row == "panet"]
        arguments = (workplace.client, workers, trainings, lambda name: sweep.rows[name].where)
        threading.Thread(target=kill_two, args=arguments, daemon=True).start()
        witness.start()
        sweep.submit()
        outcomes = sweep.follow(Board(live=False), lambda: False, lambda outcome: None)
        witness.stop.set()
        witness.join()
    return outcomes, witness


def made(job):
    """What a run has made, but for when and where: its scores, episode by episode, and its head."""
    results = json.loads((job.folder / "results.json").read_text())
    besides = ("config", "head", "git")  # where it lies
    scores = {k: v for k, v in results.items() if not k.endswith("seconds") and k not in besides}
    heads = {p.name: sha256(p.read_bytes()).hexdigest() for p in job.folder.glob("*.safetensors")}
    return {"scores": scores, "heads": heads}


def steps(job):
    """Of a training's journal: in order, each once, however often it went on."""
    path = job.folder / "metrics.jsonl"
    return (
        [json.loads(line)["step"] for line in path.read_text().splitlines()]
        if path.exists()
        else []
    )


def demonstrate(folder):
    """Everything; a dictionary a run."""
    from fsslib.config import strict
    from fsslib.runs.runner import run
    from fsslib.runs.study import Study

    study, seen = strict(Study, STUDY), {}
    with runs_below(folder / "sweep"):
        jobs = list(study.jobs())
        outcomes, witness = sweep_with_kills(jobs, folder)
        for job in jobs:
            seen[job.name] = {
                "outcome": outcomes[job.name].state,
                "starts": len(witness.kernels[job.name]),
                "at_once": witness.at_once[job.name],
                "states": witness.states[job.name],
                "steps": steps(job),
                "made": made(job),
            }
    print("-- the same runs one by one")
    with runs_below(folder / "serial"), redirect_stdout(StringIO()):
        for job in study.jobs():
            run(job.template, job.parameters, job.folder)
            seen[job.name] |= {"serial": made(job), "serial_steps": steps(job)}
    return seen


def show(seen):
    print(
        "run             starts  at once  mIoU of the sweep    one by one           equal  states"
    )
    for name, about in seen.items():
        scores = [about[which]["scores"]["miou"] for which in ("made", "serial")]
        equal = "yes" if about["made"] == about["serial"] else "NO"
        print(
            f"{name:<15} {about['starts']:>6}  {about['at_once']:>7}  {scores[0]!r:<20} "
            f"{scores[1]!r:<20} {equal:<6} {', '.join(about['states'])}"
        )


if __name__ == "__main__":
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        show(demonstrate(Path(temporary)))
    print(f"{time.monotonic() - start:.0f} s")
