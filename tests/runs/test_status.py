"""`status.json` tells the truth, also after the end of a run that could not say goodbye."""

import json
import os
import time

import pytest

from fsslib.files import write_json
from fsslib.runs import status as status_module
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


def test_a_disk_that_is_away_for_a_moment_does_not_stop_the_heart(tmp_path, monkeypatch):
    monkeypatch.setattr(status_module, "BEAT_SECONDS", 0.01)
    with Heartbeat(tmp_path) as heart:
        write = heart._write
        heart._write = lambda: (_ for _ in ()).throw(OSError("stale file handle"))
        time.sleep(0.1)
        heart._write = write
        before = read_status(tmp_path)["heartbeat"]
        time.sleep(0.2)
        assert read_status(tmp_path)["heartbeat"] > before


def test_a_process_of_the_same_number_on_another_machine_is_another(tmp_path):
    status = {"state": "running", "pid": os.getpid(), "host": "elsewhere", "heartbeat": time.time()}
    write_json(tmp_path / "status.json", status)
    with pytest.raises(BusyError, match="on elsewhere"), alone(tmp_path):
        pass


def test_where_nothing_can_be_locked_there_is_a_warning(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no locks available")

    monkeypatch.setattr(status_module.FileLock, "acquire", refuse)
    with pytest.warns(UserWarning, match="no locks available"), alone(tmp_path):
        with Heartbeat(tmp_path):
            assert state(tmp_path) == "running"
        assert state(tmp_path) == "finished"


def test_of_two_that_start_at_once_one_is_refused(tmp_path):
    with alone(tmp_path), pytest.raises(BusyError, match="another process"), alone(tmp_path):
        pass
    with alone(tmp_path):  # and the folder is free again
        assert read_status(tmp_path) is None
