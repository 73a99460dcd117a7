"""`status.json` tells the truth, also after the end of a run that could not say goodbye."""

import json
import time

import pytest

from fsslib.files import write_json
from fsslib.runs.status import LOST_AFTER, BusyError, Heartbeat, alone, read_status


def state(folder):
    return json.loads((folder / "status.json").read_text())["state"]


def test_running_then_finished(tmp_path):
    with Heartbeat(tmp_path, template="train"):
        assert state(tmp_path) == "running"
    assert state(tmp_path) == "finished"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(143), "terminated"),
        (ValueError("no such fold"), "failed"),
    ],
)
def test_every_end_has_its_name(tmp_path, error, name):
    with pytest.raises(type(error)), Heartbeat(tmp_path):
        raise error
    status = read_status(tmp_path)
    assert status["state"] == name
    assert type(error).__name__ in status["error"]


def test_a_run_without_heartbeat_reads_lost(tmp_path):
    beat = time.time() - LOST_AFTER - 1
    write_json(tmp_path / "status.json", {"state": "running", "pid": 1, "heartbeat": beat})
    assert read_status(tmp_path)["state"] == "lost"
    assert read_status(tmp_path / "nothing") is None


def test_of_two_that_start_at_once_one_is_refused(tmp_path):
    with alone(tmp_path), pytest.raises(BusyError, match="another process"), alone(tmp_path):
        pass
    with alone(tmp_path):  # and the folder is free again
        assert read_status(tmp_path) is None
