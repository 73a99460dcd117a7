"""A run as processes of its own: how it ends, and that it never outlives who started it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from stand_in_run import journal

from fsslib.runs.sweeps.launch import Order, is_finished, launch

HERE = str(Path(__file__).parent)
STARTER = """
import sys
from fsslib.runs.sweeps.launch import Order, launch
launch(Order("a", ("stand_in_run", *sys.argv[1:]), sys.argv[1], ".", grace=1.0), lambda: False)
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes that are started find the stand-in."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([HERE, *sys.path]))


def order(folder, *words):
    return Order("a", ("stand_in_run", str(folder), *map(str, words)), str(folder), ".", grace=1.0)


def never():
    return False


def status(folder):
    return json.loads((folder / "status.json").read_text())["state"]


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_a_run_ends_by_itself_or_by_its_own_error(tmp_path):
    assert launch(order(tmp_path / "a", 2), never).state == "finished"
    assert is_finished(str(tmp_path / "a")) and not is_finished(str(tmp_path / "none"))
    failed = launch(order(tmp_path / "b", 2, "fails"), never)
    assert (failed.state, failed.text) == ("failed", "error: it failed by itself")


def test_a_run_that_another_process_is_at_is_busy(tmp_path):
    with FileLock(tmp_path / ".lock"):
        assert launch(order(tmp_path, 2), never).state == "busy"
    assert journal(tmp_path) == []


def test_a_run_that_nobody_wants_is_terminated_and_goes_on_later(tmp_path):
    assert launch(order(tmp_path, 50), lambda: len(journal(tmp_path)) > 3) is None
    assert status(tmp_path) == "terminated"
    assert launch(order(tmp_path, 50), never).state == "finished"
    assert sum(entry["what"] == "step" for entry in journal(tmp_path)) == 50


def test_a_run_that_does_not_listen_is_killed(tmp_path):
    assert launch(order(tmp_path, 10_000, "stubborn"), lambda: bool(journal(tmp_path))) is None
    assert len(journal(tmp_path)) < 10_000, "it was not waited for"
    assert not psutil.pid_exists(journal(tmp_path)[0]["pid"])
    assert status(tmp_path) == "running", "nobody could write better"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_from_outside_is_no_error_of_the_run(tmp_path, number):
    def send():
        if len(journal(tmp_path)) > 1:
            os.kill(journal(tmp_path)[0]["pid"], number)
        return False

    outcome = launch(order(tmp_path, 10_000), send)
    assert (outcome.state, outcome.text) == ("terminated", f"ended by {number.name}")


@pytest.mark.parametrize("what", ["", "stubborn"])
def test_a_killed_starter_takes_its_run_along(tmp_path, what):
    """SIGKILL leaves a worker no moment to end its run; the run notices."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), "10000", what])
    wait_for(lambda: journal(tmp_path))
    starter.kill()
    starter.wait()
    pid = journal(tmp_path)[0]["pid"]
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 10)
    assert status(tmp_path) == ("running" if what else "terminated")


def test_what_cannot_be_started_is_named():
    completed = subprocess.run(
        [sys.executable, "-m", "fsslib.runs.sweeps.leash", "1"], capture_output=True, text=True
    )
    assert completed.returncode == 1
    assert "expected: python -m fsslib.runs.sweeps.leash SECONDS MODULE" in completed.stderr
