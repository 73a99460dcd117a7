"""Every run template on papermill, small; what a run leaves behind; stopping and going on."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import yaml
from safetensors.torch import load_file

from fsslib.runs.__main__ import main
from fsslib.runs.runner import RunError, run
from fsslib.runs.status import read_status
from fsslib.training.journal import read_journal

SMALL = {
    "weights": "random",
    "image_size": 33,
    "episodes": 4,
    "workers": 0,
}
TRAIN = {**SMALL, "steps": 4, "train_batch_size": 2, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small training run with validation on held-out base classes."""
    folder = tmp_path_factory.mktemp("train")
    chosen = {"selection": "held_out_base", "held_out": 3, "validate_every": 2}
    return run("train", {**TRAIN, **chosen, "validation_episodes": 4}, folder)


def test_a_training_run_leaves_everything_it_promises(trained):
    results = json.loads((trained / "results.json").read_text())
    for name in ("protocol", "protocol_hash", "device", "versions", "git", "seconds", "per_class"):
        assert name in results, name
    assert results["episodes"] == 4
    assert 0 <= results["miou_interval"][0] <= results["miou"] <= results["miou_interval"][1] <= 1
    assert results["selected_step"] in (2, 4)
    for row in results["per_class"].values():
        assert 0 <= row["intersection"] <= row["union"]
    splits = {row["split"] for row in read_journal(trained / "metrics.jsonl")}
    assert splits == {"train", "held_out", "base"}
    assert (trained / "predictions.png").stat().st_size > 1000
    assert yaml.safe_load((trained / "params.yaml").read_text())["episodes"] == 4
    assert read_status(trained)["state"] == "finished"
    assert "mIoU" in (trained / "log.txt").read_text()
    notebook = nbformat.read(trained / "run.ipynb", 4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_a_trained_head_is_evaluated_to_the_same_score(trained, tmp_path):
    before = json.loads((trained / "results.json").read_text())
    head = {"method": "pfenet", "head": str(trained / "head.safetensors")}
    chosen = {"selection": "held_out_base", "held_out": 3}
    folder = run("evaluate", {**SMALL, **head, **chosen}, tmp_path)
    after = json.loads((folder / "results.json").read_text())
    assert after["protocol_hash"] == before["protocol_hash"]
    assert after["episode_list"] == before["episode_list"]
    # Random backbones are equal by seed; heads are stored in half precision.
    assert after["miou"] == pytest.approx(before["miou"], abs=0.02)
    assert str(trained) not in (folder / "results.json").read_text()


@pytest.mark.parametrize("method", ["prototype", "prior_threshold", "all_foreground"])
def test_baselines_evaluate(method, tmp_path):
    folder = run("evaluate", {**SMALL, "method": method, "shot": 2}, tmp_path)
    assert json.loads((folder / "results.json").read_text())["trained"] is False


def test_backbone_pretraining_ships_weights_and_card(tmp_path):
    small = {"steps": 2, "batch_size": 2, "size": 33, "validation_scenes": 4, "workers": 0}
    folder = run("pretrain_backbone", small, tmp_path)
    card = json.loads((folder / "scenes-resnet.json").read_text())
    assert card["pictures"] == 4 and card["seen"].startswith("all 40 classes")
    assert "stem.0.weight" in load_file(folder / "scenes-resnet.safetensors")


def test_a_finished_run_is_not_repeated(trained, capsys):
    written = (trained / "results.json").stat().st_mtime_ns
    run(
        "train",
        {**TRAIN, "selection": "held_out_base", "held_out": 3, "validate_every": 2},
        trained,
    )
    assert "already finished" in capsys.readouterr().out
    assert (trained / "results.json").stat().st_mtime_ns == written


def test_a_failing_notebook_is_reported_with_its_error(tmp_path):
    with pytest.raises(RunError, match=r"FileNotFoundError|ConfigError|nowhere"):
        run(
            "evaluate",
            {
                **SMALL,
                "benchmark": "folder",
                "root": str(tmp_path / "nowhere"),
                "minimum_object_pixels": 1,
            },
            tmp_path / "run",
        )
    assert read_status(tmp_path / "run")["state"] == "failed"
    assert not (tmp_path / "run" / "results.json").exists()


def test_wrong_parameters_stop_before_anything_is_written(tmp_path, capsys):
    assert main(["run", "train", "-p", "fould=1", "--out", str(tmp_path / "x")]) == 2
    assert "did you mean 'fold'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("stop", "state"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGKILL, "running")],
)
def test_stopped_runs_tell_how_and_go_on(tmp_path, stop, state):
    arguments = {**TRAIN, "steps": 200, "checkpoint_every": 5}
    command = [sys.executable, "-m", "fsslib.runs", "run", "train", "--out", str(tmp_path)]
    for name, value in arguments.items():
        command += ["-p", f"{name}={value}"]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        # Background jobs of a shell inherit an ignored Ctrl-C; a user's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.time() + 120
    while not (tmp_path / "checkpoint.pt").exists():
        assert process.poll() is None and time.time() < deadline, "training never started"
        time.sleep(0.1)
    os.kill(process.pid, stop)
    process.wait(60)
    stopped = json.loads((tmp_path / "status.json").read_text())
    assert stopped["state"] == state
    assert not (tmp_path / "results.json").exists()
    assert not list(tmp_path.glob(".*.pt")), "a half-written checkpoint stayed behind"
    if stop == signal.SIGKILL:
        assert read_status(tmp_path)["state"] == "lost", "seen at once, not after the heartbeat"
        run("train", arguments, tmp_path)
        assert read_status(tmp_path)["state"] == "finished"
        assert "going on after step" in (tmp_path / "log.txt").read_text()
        steps = [row["step"] for row in read_journal(tmp_path / "metrics.jsonl")]
        assert steps == list(range(20, 201, 20))
