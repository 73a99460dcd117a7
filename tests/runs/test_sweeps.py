"""Runs on workers of dask.distributed: stand-ins that take no time, and once real ones."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from killed_workers import demonstrate, started
from stand_in_run import journal
from stand_in_sweep import orders

from fsslib.runs.job import Job
from fsslib.runs.status import RunError
from fsslib.runs.sweeps.batch import jobs_of, read_settings
from fsslib.runs.sweeps.board import Board, Row, latest
from fsslib.runs.sweeps.cluster import local, scheduler_at
from fsslib.runs.sweeps.cluster_engine import ending_of
from fsslib.runs.sweeps.failures import block, failing_cell
from fsslib.runs.sweeps.launch import Outcome
from fsslib.runs.sweeps.sweep import Sweep

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Workers find the stand-in."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))


def follow(sweep, look=lambda: None):
    """How runs end; `look` is called several times a second."""
    until = time.monotonic() + 150

    def stop():
        look()
        return time.monotonic() > until

    sweep.submit()
    return sweep.follow(Board(live=False), stop, lambda outcome: None)


def starts(order):
    return sum(entry["what"] == "start" for entry in journal(order.folder))


def steps(order):
    return sum(entry["what"] == "step" for entry in journal(order.folder))


def never_twice_at_once(order):
    """Whether each process at a run began after the one before had noted its end, or was dead."""
    pids = [entry["pid"] for entry in journal(order.folder)]
    changes = [pid for pid, before in zip(pids, [None, *pids], strict=False) if pid != before]
    return len(changes) == len(set(changes))


@pytest.mark.slow
def test_a_sweep_on_this_machine(tmp_path, capsys):
    """Its own error is no reason to try again; what needs its files is not started; a run whose
    workers die more often than dask forgives ends all the same."""
    rows = {"long": (300,), "bad": (9, "fails"), "reads_bad": (1,), "reads_long": (1,)}
    known = orders(tmp_path, rows)
    long, bad, reads_bad, reads_long = known.values()
    needs = {reads_bad.name: [bad.name], reads_long.name: [long.name]}
    killed = []
    with local(2) as workplace:
        sweep = Sweep(workplace.client, list(known.values()), needs)

        def kill_now_and_then():
            """Six times, once the long run has made a step since its start, its worker; from when
            the bad run's answer is here, which would be lost with its worker, and be asked anew."""
            events = journal(long.folder)
            if bad.name not in sweep.outcomes:
                return
            if starts(long) > len(killed) < 6 and events and events[-1]["what"] == "step":
                killed.append(psutil.Process(events[-1]["pid"]).ppid())
                os.kill(killed[-1], signal.SIGKILL)

        outcomes = follow(sweep, kill_now_and_then)
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        long.name: "finished",
        bad.name: "failed",
        reads_bad.name: "not started",
        reads_long.name: "finished",
    }
    assert len(killed) == 6 and starts(long) == 7 and steps(long) == 300
    assert never_twice_at_once(long)
    assert starts(bad) == 1 and outcomes[bad.name].text == "error: it failed by itself"
    assert starts(reads_bad) == 0 and outcomes[reads_bad.name].text == f"needs files of {bad.name}"
    first = journal(reads_long.folder)[0]["time"]
    assert first > journal(long.folder)[-1]["time"], "it waited for the run that it reads"
    printed = capsys.readouterr().out
    assert printed.count("long_f0_s0: started again, where it was left") == 6
    assert "bad_f0_s0: failed" in printed and "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_leaves_the_truth_and_no_traceback(tmp_path, number):
    command = [sys.executable, str(HERE / "stand_in_sweep.py"), str(tmp_path), "2"]
    sweep = subprocess.Popen(
        [*command, "short=1", "long=2000", "next=2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 100
    while len(journal(tmp_path / "next_f0_s0")) < 3:
        assert sweep.poll() is None and time.monotonic() < until, "it never began"
        time.sleep(0.1)
    if number == signal.SIGINT:
        os.killpg(sweep.pid, number)  # as a terminal does: workers, too
    else:
        sweep.send_signal(number)
    printed, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == (130 if number == signal.SIGINT else 143)
    assert printed.splitlines()[-1] == "stopped; run the same command again to go on"
    assert "Traceback" not in printed and "never retrieved" not in printed
    assert len(printed.splitlines()) < 12, printed
    states = {
        p.parent.name: json.loads(p.read_text())["state"] for p in tmp_path.rglob("status.json")
    }
    assert states == {
        "short_f0_s0": "finished",
        "long_f0_s0": "terminated",
        "next_f0_s0": "terminated",
    }
    assert journal(tmp_path / "next_f0_s0")[-1]["what"] == "end"


@pytest.mark.slow
def test_jobs_of_slurm_that_end_before_their_run_does(tmp_path, monkeypatch):
    """`sbatch` is a stand-in that starts the script here; the script is what Slurm would get."""
    programs = tmp_path / "bin"
    programs.mkdir()
    submit = f'cp "$1" {programs}/job.sh; bash {programs}/job.sh >{programs}/log 2>&1 &'
    for name, line in (
        ("sbatch", f"echo job >> {programs}/submitted; {submit}\necho Submitted batch job $!"),
        ("scancel", 'pkill -P "$1"; true'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    settings = read_settings("slurm", "walltime=00:00:20 interface=lo memory=1GiB")
    (order,) = orders(tmp_path, {"long": (300,)}).values()
    with jobs_of("slurm", settings, runs=1) as workplace:
        outcomes = follow(Sweep(workplace.client, [order]))
    assert outcomes[order.name].state == "finished"
    assert "--lifetime 10s" in (programs / "job.sh").read_text()
    assert len((programs / "submitted").read_text().split()) >= 2, "the second job went on"
    assert starts(order) >= 2 and steps(order) == 300 and never_twice_at_once(order)
    ends = [entry["what"] for entry in journal(order.folder) if entry["what"] != "step"]
    assert ends == ["start", "end"] * (len(ends) // 2), "each job ended its run in order"


@pytest.mark.slow
def test_a_scheduler_that_goes_takes_its_runs_along(tmp_path, capsys):
    """Its worker ends the run in order; the sweep says so in one sentence."""
    file = str(tmp_path / "scheduler.json")
    usual = ("--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard")
    (order,) = orders(tmp_path, {"long": (10_000,)}).values()
    with ExitStack() as stack:
        scheduler = stack.enter_context(started("dask_scheduler", "--port", "0", *usual))
        stack.enter_context(started("dask_worker", "--nthreads", "1", *usual))
        while not Path(file).exists():
            time.sleep(0.1)
        address = json.loads(Path(file).read_text())["address"]
        workplace = stack.enter_context(scheduler_at(address))
        sweep = Sweep(workplace.client, [order])
        with pytest.raises(RunError, match="the scheduler is gone; the same command goes on"):
            follow(sweep, lambda: steps(order) > 3 and scheduler.kill())
    assert json.loads((tmp_path / order.name / "status.json").read_text())["state"] == "terminated"
    assert "Traceback" not in "".join(capsys.readouterr())


def test_no_scheduler_is_one_sentence(monkeypatch):
    monkeypatch.setattr("fsslib.runs.sweeps.cluster.CONNECT_SECONDS", 0.5)
    message = r"no scheduler answers at 'tcp://127\.0\.0\.1:9'"
    with pytest.raises(RunError, match=message), scheduler_at("tcp://127.0.0.1:9"):
        pass


def test_a_failed_run_shows_its_cell(tmp_path, capsys):
    cell = {"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "source": "1/0"}
    error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"}
    error["traceback"] = ["\x1b[31mZeroDivisionError\x1b[0m", "division by zero"]
    book = {"cells": [cell | {"outputs": [error]}], "metadata": {}, "nbformat": 4}
    (tmp_path / "run.ipynb").write_text(json.dumps(book | {"nbformat_minor": 5}))
    assert failing_cell(tmp_path / "run.ipynb") == "ZeroDivisionError\ndivision by zero"
    head, *lines, foot = block(Outcome("a_f0_s0", "failed", "error"), tmp_path).splitlines()
    assert head.startswith("── a_f0_s0 failed in ") and set(foot) == {"─"}
    assert lines == ["ZeroDivisionError", "division by zero"]
    assert "error: no notebook" in block(Outcome("a", "failed", "error: no notebook"), Path("none"))

    jobs = [Job(row, 0, 0, "evaluate", {"method": "prototype"}) for row in ("a", "b", "c", "d")]
    states = ("finished", "busy", "not started", "terminated")
    outcomes = {j.name: Outcome(j.name, s, "why") for j, s in zip(jobs, states, strict=True)}
    ending = ending_of(jobs, outcomes)
    assert (ending.later, ending.failed) == ([jobs[1]], ["c_f0_s0", "d_f0_s0"])
    assert capsys.readouterr().out.splitlines() == [
        "c_f0_s0: not started, why",
        "d_f0_s0: terminated, why; the same command goes on",
    ]


def test_a_table_shows_how_runs_stand(tmp_path, capsys):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 20, "loss": 2.5}\n{"step": 40, "loss": 2.25}\n'
    )
    running, waiting = Row("a[b]_f0_s1", tmp_path), Row("c_d_f3_s0", tmp_path, ["a[b]_f0_s1"])
    running.started("one")
    with Board(live=True) as board:
        board.show([running, waiting])
    shown = capsys.readouterr().out
    first, second = [line for line in shown.splitlines() if "│" in line][-2:]
    assert first.replace("│", " ").split()[:5] == ["a[b]", "0", "1", "running", "one"]
    assert "step 40, loss 2.25" in first
    assert second.replace("│", " ").split()[:4] == ["c_d", "3", "0", "waiting"]
    assert "1 running, 1 waiting" in shown
    assert latest(tmp_path / "none") == ""


@pytest.mark.slow
def test_a_sweep_that_loses_its_workers_scores_as_a_serial_one(tmp_path):
    seen = demonstrate(tmp_path)
    assert {about["outcome"] for about in seen.values()} == {"finished"}
    assert {name: about["starts"] for name, about in seen.items()} == {
        **{"panet_f0_s0": 2, "panet_f1_s0": 2, "prototype_f0_s0": 1},
        **{"tested_f0_s0": 1, "tested_f1_s0": 1},
    }, "only what was in the middle began again"
    for name, about in seen.items():
        assert about["at_once"] == 1, name
        assert about["made"] == about["serial"], name
        assert about["steps"] == about["serial_steps"], name
        assert about["states"][-1] == "finished" and set(about["states"]) <= {
            *("running", "terminated", "finished")
        }, name
