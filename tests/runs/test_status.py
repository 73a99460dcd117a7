"""`status.json` tells the truth, also after the end of a run that could not say goodbye."""

import json
import os
import threading
import time

import pytest

from fsslib.files import write_json
from fsslib.runs import runner
from fsslib.runs import status as status_module
from fsslib.runs.__main__ import main
from fsslib.runs.runner import run
from fsslib.runs.status import LOST_AFTER, BusyError, Heartbeat, RunError, alone, read_status


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
    missed, written = threading.Event(), threading.Event()

    def away():
        missed.set()
        raise OSError("stale file handle")

    with Heartbeat(tmp_path) as heart:
        write, heart._write = heart._write, away
        assert missed.wait(30)
        before = read_status(tmp_path)["heartbeat"]
        heart._write = lambda: (write(), written.set())
        assert written.wait(30), "it beats no more"
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


@pytest.fixture
def executed(monkeypatch):
    """Folders in which a notebook was executed; nothing is."""
    folders = []
    monkeypatch.setattr(runner, "execute", lambda *arguments: folders.append(arguments[-1]))
    return folders


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path, executed):
    def refused(folder, message, fold=0, again=False):
        before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(RunError, match=message):
            run("evaluate", {"fold": fold}, folder, again)
        assert before == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}

    for name in ("results.json", "status.json"):
        write_json(tmp_path / name[:3] / name, {"state": "finished", "heartbeat": 0.0})
        refused(tmp_path / name[:3], f"holds {name} and no params.yaml", again=True)
    refused(tmp_path / "res" / "results.json", "results.json is a file; expected a folder")
    refused(tmp_path / "res" / "results.json" / "deeper", "results.json is a file")
    for text in ("lr: 0.1", "[a", ""):
        (tmp_path / "params.yaml").write_text(text)
        refused(tmp_path, "params.yaml was written by no run", again=True)
    assert not executed


def test_a_folder_is_gone_on_with_by_the_same_parameters_only(tmp_path, executed):
    head = tmp_path / "head.safetensors"
    head.touch()
    parameters, folder = {"method": "pfenet", "head": str(head)}, tmp_path / "run"
    folder.mkdir()
    run("evaluate", parameters, folder)
    write_json(folder / "status.json", {"state": "failed", "heartbeat": 0.0})
    write_json(folder / "results.json", {})
    with pytest.raises(
        RunError, match=r"other parameters \(fold: 0 then, 1 now\); use another --out"
    ):
        run("evaluate", {**parameters, "fold": 1}, folder)
    assert (folder / "results.json").exists()
    run("evaluate", {**parameters, "head": os.path.relpath(head), "workers": 3}, folder)
    run("evaluate", {**parameters, "fold": 1}, folder, again=True)
    assert executed == [folder] * 3


def test_one_broken_file_hides_no_other_run(tmp_path, capsys):
    scores = {"run": "mine", "miou": 0.5, "miou_interval": [0.4, 0.6], "episodes": 4}
    scores |= {"fb_iou": 0.6, "fb_iou_interval": [0.5, 0.7]}
    write_json(tmp_path / "whole" / "results.json", scores)
    with Heartbeat(tmp_path / "whole"):
        pass
    for folder, text in {"a": "{", "b": "[]", "c": "{}", "d": ""}.items():
        (tmp_path / folder).mkdir()
        for name in ("status.json", "results.json"):
            (tmp_path / folder / name).write_text(text)
    for command, good in (("status", "finished "), ("table", "| mine ")):
        assert main([command, str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.startswith(good) for line in lines) == 1
        broken = [line for line in lines if line.startswith("unreadable ")]
        files = {"status": "status.json", "table": "results.json"}
        for line, folder in zip(broken, "abcd", strict=True):
            assert str(tmp_path / folder / files[command]) in line


@pytest.mark.parametrize("command", ["status", "table"])
def test_where_there_is_nothing_that_is_said(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "nowhere")]) == 1
    assert "nowhere; run something first" in capsys.readouterr().err
