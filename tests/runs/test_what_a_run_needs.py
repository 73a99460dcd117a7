"""What is looked at before a kernel starts, and what becomes of a run that cannot write or is lost.

The many ways to be refused are in `tests/test_fuzz.py`."""

import errno
import os
import signal
import subprocess
import sys
import tempfile

import pytest
import torch

from fsslib.config import ConfigError
from fsslib.files import local_path
from fsslib.runs import runner, sockets
from fsslib.runs.__main__ import main
from fsslib.runs.config import CONFIGS, parse
from fsslib.runs.run_config import PATHS, PATHS_IN_GROUPS, RunConfig
from fsslib.runs.runner import run
from fsslib.runs.status import RunError, read_status

WITH_FILES = {
    "root": ("evaluate", {"benchmark": "folder"}),
    "head": ("evaluate", {"method": "pfenet"}),
    "data": ("pretrain_dino", {}),
    "start": ("pretrain_clip", {}),
    "dino_weights": ("train_dinoiser", {}),
    "found_head": ("train_dinoiser", {}),
    "episodes_file": ("evaluate", {}),
    "weights": ("train", {}),
    "base": ("train", {"method": "bam"}),
    "extractor_weights": ("train", {"method": "qgnet"}),
    "heads": ("evaluate", {"method": "clip_dinoiser"}),
}


def test_every_parameter_that_is_a_path_is_tried_below():
    assert WITH_FILES.keys() == {*PATHS, *PATHS_IN_GROUPS}


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_missing_file_stops_a_run_before_a_kernel_starts(name, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "execute", lambda *_: pytest.fail("a kernel was started"))
    template, others = WITH_FILES[name]
    missing = str(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nowhere'?: no such (file|folder)"):
        run(template, {**others, name: missing}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("template", CONFIGS)
def test_every_template_says_what_it_needs(template, tmp_path, monkeypatch):
    """The usual parameters need nothing that is not there."""
    assert CONFIGS[template].require_files is not RunConfig.require_files
    monkeypatch.setattr(runner, "execute", lambda *_: None)
    run(template, {}, tmp_path / "run")
    assert read_status(tmp_path / "run")["state"] == "finished"


def test_cards_are_read_where_their_files_are_not():
    assert parse("evaluate", {"method": "pfenet", "head": "elsewhere.pth"}).head == "elsewhere.pth"


@pytest.mark.parametrize("template", ["train", "train_base", "pretrain_moco", "pretrain_backbone"])
def test_a_precision_that_a_cpu_has_not_is_refused_before_a_kernel_starts(
    template, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cpu", "auto"):
        with pytest.raises(ConfigError, match="precision='fp16' is for GPUs"):
            run(template, {"precision": "fp16", "device": device}, tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("~nosuchuser/x", "no such home"), ("x" * 300, "too long"), ("a\0b", "zero byte")],
)
def test_paths_that_cannot_be_are_told_in_a_sentence(text, reason):
    with pytest.raises(ConfigError, match=reason):
        local_path(text)


def test_a_parameter_is_given_once(capsys):
    assert main(["run", "evaluate", "-p", "fold=0", "-p", "fold=1"]) == 2
    assert "-p fold= is given twice" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_takes_nothing_is_told_in_a_sentence(number, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(number, os.strerror(number), "run.ipynb")

    monkeypatch.setattr(runner, "execute", full)
    assert main(["run", "evaluate", "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err.strip()
    assert os.strerror(number) in error and "--out" in error and "\n" not in error
    assert read_status(tmp_path / "run")["state"] == "failed"


def test_ones_own_files_are_never_overwritten(tmp_path):
    for name in ("run.ipynb", "predictions.png", "notes.txt"):
        folder = tmp_path / name[:3]
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(RunError, match=rf"holds {name} and no params.yaml"):
            run("evaluate", {}, folder, again=True)
        assert [path.name for path in folder.iterdir()] == [name]


def test_a_kernels_error_names_paths_as_they_were_given(tmp_path, monkeypatch):
    """Braces, which papermill would fill in, and a path that the kernel sees from elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "he{a}d.pth").write_text("no weights")
    with pytest.raises(RunError, match=r"WeightsError: he{a}d\.pth is not a plain file") as caught:
        run("evaluate", {"method": "pfenet", "head": "he{a}d.pth"}, tmp_path / "o{u}t" / "run")
    assert ".." not in str(caught.value)
    status = read_status(tmp_path / "o{u}t" / "run")
    assert status["state"] == "failed" and "he{a}d.pth" in status["error"]
    assert not list(tmp_path.rglob("kernel-ipc*"))


HOLDING = """
import sys, time
from fsslib.runs.sockets import socket_folder
with socket_folder() as folder:
    (folder / "kernel-1").touch()
    print(folder, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def temporary(monkeypatch):
    """A temporary folder of the system, with a name short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def test_sockets_of_a_killed_run_are_removed_by_the_next(temporary):
    killed, alive = (
        subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        folders = [local_path(process.stdout.readline().strip()) for process in (killed, alive)]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
        assert all((folder / "kernel-1").exists() for folder in folders)
        with sockets.socket_folder() as mine:
            assert not folders[0].exists() and (folders[1] / "kernel-1").exists()
        assert not mine.exists()
    finally:
        for process in (killed, alive):
            process.kill()
            process.wait(10)
            process.stdout.close()
