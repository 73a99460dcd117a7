"""A run starts its processes, speaks with one voice, and ends as one."""

import builtins
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from forked import in_forks

from fsslib.config import ConfigError
from fsslib.runs import processes
from fsslib.runs.config import parse, run_id
from fsslib.runs.experiment import Experiment, learn
from fsslib.runs.processes import _reason, _shown, in_processes
from fsslib.runs.runner import run
from fsslib.runs.status import RunError, read_status
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import read_journal

TINY = {
    **{"weights": "random", "image_size": 33, "episodes": 10, "batch_size": 2, "workers": 0},
    **{"steps": 20, "train_batch_size": 2, "checkpoint_every": 2, "log_every": 1},
    **{"method": "pfenet preset=official dim=16", "recipe": "demo lr=0.01"},
}


def working(folder: Path) -> list[psutil.Process]:
    """Processes that are started for a folder."""
    workers = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(folder) in words and "fsslib.runs.worker" in words:
            workers.append(process)
    return workers


def rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except psutil.Error:
        return None


def when_it_trains(folder: Path, then=lambda: None, rows: int = 5) -> threading.Thread:
    """Do something to the workers once they have taken some steps."""

    def wait() -> None:
        until = time.time() + 90
        while len(read_journal(folder / "metrics.jsonl")) < rows and time.time() < until:
            time.sleep(0.05)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def ended(folder: Path, seconds: float) -> bool:
    until = time.time() + seconds
    while working(folder) and time.time() < until:
        time.sleep(0.1)
    return not working(folder)


@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        ("train", {"processes": 3, "train_batch_size": 8}, "processes=3: batch_size=8 does not"),
        ("train", {"processes": 2, "accumulate": 8}, "processes=2 with accumulate=8"),
        ("train_base", {"processes": 5}, "processes=5: batch_size=16 does not divide"),
        ("pretrain_dino", {"processes": 7}, "processes=7: batch_size="),
        ("pretrain_clip", {"processes": 2}, "processes=2: this loss compares all pictures"),
        ("pretrain_moco", {"processes": 2}, "processes=2: this loss compares all pictures"),
        ("zero_shot", {"processes": 2}, "processes=2: one process slides"),
        ("train", {"machine": "cuda:1 processes=2"}, "with device='cuda:1'"),
        ("evaluate", {"processes": 0}, "processes=0"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_starts(template, parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse(template, parameters)


def test_the_number_of_processes_is_no_part_of_a_runs_identity():
    assert run_id(parse("train", {"processes": 2})) == run_id(parse("train", {}))
    assert parse("evaluate", {"processes": 3, "method": "prototype"}).machine_config.processes == 3


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(processes, "pick_device", lambda _: "cuda")
    monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"processes=4: this machine has 2 GPUs.*use processes=2"):
        in_processes(len, parse("train", {"processes": 4, "train_batch_size": 8}), Path())


def test_nothing_is_started_for_one_process_or_inside_of_a_worker(monkeypatch):
    assert in_processes(len, parse("train", {}), Path()) is False
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert in_processes(len, parse("train", {"processes": 2}), Path()) is False


@pytest.mark.parametrize("exitcode", [1, -15])
def test_the_killed_one_is_named_though_another_failed_for_want_of_it_first(exitcode):
    """By itself, or ended by torchrun."""
    talk = f"""E1123 api.py:1010] failed (exitcode: 1) local_rank: 0 (pid: 71) of binary: python
Failures:
[1]:
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 72)
Root Cause (first observed failure):
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : {exitcode} (pid: 71)
"""
    assert str(processes._reason(2, talk, [])).startswith(
        "process 1 of 2 (0 to 1) was ended by SIGKILL"
    )


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_the_same_command_goes_on(tmp_path):
    """The train template, by two processes, one of them killed; in the end weights are those of two
    processes that nobody disturbed, and the scores those of one process."""
    folder, parameters = tmp_path / "run", {**TINY, "processes": 2}
    seen = []

    def kill() -> None:
        seen.extend(p.pid for p in working(folder))
        next(p for p in working(folder) if rank_of(p) == "1").kill()

    when_it_trains(folder, kill)
    with pytest.raises(RunError, match=r"process 1 of 2 \(0 to 1\) was ended by SIGKILL.*goes on"):
        run("train", parameters, folder)
    assert ended(folder, 5) and len(seen) >= 2
    status = read_status(folder)
    assert status["state"] == "failed" and "SIGKILL" in status["error"]
    assert 2 <= torch.load(folder / "checkpoint.pt", weights_only=True)["step"] < 20

    run("train", parameters, folder)
    assert read_status(folder)["state"] == "finished"
    assert ended(folder, 5)
    steps = [row["step"] for row in read_journal(folder / "metrics.jsonl")]
    assert steps == list(range(1, 21)), "one journal"
    log = (folder / "log.txt").read_text()
    assert log.count("step 20/20") == 1, "one voice"

    in_forks(2, learn, parse("train", parameters), tmp_path / "whole")
    cut, whole = (
        torch.load(f / "checkpoint.pt", weights_only=True) for f in (folder, tmp_path / "whole")
    )
    assert cut["head"].keys() == whole["head"].keys() and len(cut["head"]) > 10
    assert all(torch.equal(value, cut["head"][name]) for name, value in whole["head"].items())

    head = {"head": str(folder / "head.safetensors")}
    known = {k: v for k, v in TINY.items() if k not in ("steps", "train_batch_size", "recipe")}
    known = {k: v for k, v in known.items() if k not in ("checkpoint_every", "log_every")}
    one = Experiment(parse("evaluate", {**known, **head}), tmp_path / "one").evaluate()
    two = json.loads((folder / "results.json").read_text())
    assert one["per_class"] == two["per_class"] and one["miou"] == two["miou"]
    assert two["episodes"] == 10 and two["machine"]["processes"] == 2


@pytest.mark.slow
def test_ending_a_run_ends_its_processes(tmp_path):
    folder = tmp_path / "run"
    parameters = {**TINY, "steps": 100_000, "processes": 2}
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "fsslib.runs", "run", "train", *words]
    command += ["--out", str(folder)]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    when_it_trains(folder).join()
    assert len(working(folder)) == 3, "torchrun and two workers"
    started.send_signal(signal.SIGTERM)
    started.wait(60)
    assert read_status(folder)["state"] == "terminated"
    assert ended(folder, 5)


TALK = """
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 11)
Root Cause (first observed failure):
[0]:
  rank      : {} (local_rank: 1)
  exitcode  : {} (pid: 12)
"""


def report_of(kind: type, rank: int = 0) -> dict:
    where = {"module": kind.__module__, "name": kind.__qualname__, "traceback": ""}
    return {"rank": rank, "message": "the reason", **where}


def test_the_one_that_was_killed_is_named_whatever_the_others_say():
    error = _reason(3, TALK.format(2, -9), [report_of(RuntimeError)])
    assert "process 2 of 3 (0 to 2) was ended by SIGKILL, perhaps for want of memory" in str(error)
    error = _reason(3, TALK.format(1, -11), [])
    assert "process 1 of 3 (0 to 2) was ended by SIGSEGV, and the others" in str(error)


def test_an_error_of_ours_is_raised_as_it_is_and_others_are_named():
    error = _reason(
        2, TALK.format(1, 1), [report_of(CheckpointError, 1), report_of(CheckpointError)]
    )
    assert type(error) is CheckpointError and str(error) == "the reason"
    error = _reason(2, TALK.format(1, 1), [report_of(ValueError, 1)])
    assert type(error) is RunError and "process 1 of 2: ValueError: the reason" in str(error)
    assert "no such module" in str(_reason(2, "no such module", []))


def test_ctrl_c_ends_what_was_started(monkeypatch):
    pids = []

    def interrupted(line, **_):
        pids.append(int(line))
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "print", interrupted)
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt), tempfile.TemporaryFile("w+") as talk:
        _shown([sys.executable, "-c", code], talk)
    assert len(pids) == 1 and not psutil.pid_exists(pids[0])


@pytest.mark.slow
def test_processes_end_with_who_started_them(tmp_path):
    """A plain call, killed outright, as a notebook's kernel may be."""
    folder = tmp_path / "run"
    parameters = {**TINY, "steps": 100_000, "processes": 2}
    code = (
        "from fsslib.runs.config import parse\n"
        "from fsslib.runs.experiment import Experiment\n"
        f"Experiment(parse('train', {parameters!r}), {str(folder)!r}).train()"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    when_it_trains(folder).join()
    assert len(working(folder)) == 3
    started.kill()
    started.wait()
    assert ended(folder, 10)
