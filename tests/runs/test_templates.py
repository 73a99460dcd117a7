"""Every run template on papermill, small; what a run leaves behind; stopping and going on."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import papermill
import pytest
import torch
import yaml
from nbclient.exceptions import DeadKernelError
from PIL import Image
from safetensors.torch import load_file

from fsslib.config import ConfigError
from fsslib.data.scenes import render_scene
from fsslib.encoders.clip_loading import load_clip
from fsslib.evaluation import compare, read_table
from fsslib.runs.__main__ import main
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.provenance import changed_since
from fsslib.runs.runner import run
from fsslib.runs.status import RunError, read_status
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import read_journal

SMALL = {
    "weights": "random",
    "image_size": 33,
    "episodes": 4,
    "workers": 0,
}
TRAIN = {**SMALL, "steps": 4, "train_batch_size": 2, "checkpoint_every": 2}
CHOSEN = {"selection": "held_out_base", "held_out": 3, "validate_every": 2}

CLIP = {
    **{"steps": 2, "text_steps": 1, "single_steps": 0, "coarse_steps": 1, "size": 32},
    **{"coarse_size": 24, "batch_size": 4, "scenes": 40, "validation_scenes": 4},
    **{"unmasked_steps": 0, "fine_steps": 1, "large_steps": 1, "large_size": 40},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small training run with validation on held-out base classes."""
    folder = tmp_path_factory.mktemp("train")
    return run("train", {**TRAIN, **CHOSEN, "validation_episodes": 4}, folder)


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
    parameters = yaml.safe_load((trained / "params.yaml").read_text())
    assert parameters["protocol"].startswith("scenes10i") and "episodes=4" in parameters["protocol"]
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
    assert changed_since(before) == changed_since(after) == []
    tables = [read_table(each / "episodes.csv.gz") for each in (trained, folder)]
    comparison = compare(*tables)
    assert comparison.episodes == 4
    assert (comparison.miou.a, comparison.miou.b) == (before["miou"], after["miou"])
    assert (comparison.fb_iou.a, comparison.fb_iou.b) == (before["fb_iou"], after["fb_iou"])
    # Random backbones are equal by seed; heads are stored in half precision.
    assert after["miou"] == pytest.approx(before["miou"], abs=0.02)
    assert str(trained) not in (folder / "results.json").read_text()


@pytest.mark.parametrize("method", ["prototype", "prior_threshold", "all_foreground"])
def test_baselines_evaluate(method, tmp_path):
    folder = run("evaluate", {**SMALL, "method": method, "shot": 2}, tmp_path)
    assert json.loads((folder / "results.json").read_text())["trained"] is False


def test_backbone_pretraining_ships_weights_and_card(tmp_path):
    small = {"steps": 2, "batch_size": 2, "size": 33, "validation_scenes": 4, "workers": 0}
    small |= {"coarse_steps": 0, "horizon": 2, "cooldown": 0, "scenes": 8}
    folder = run("pretrain_backbone", {**small, "episodes": 2}, tmp_path)
    card = json.loads((folder / "scenes-resnet.json").read_text())
    assert card["pictures"] == 4 and card["seen"].startswith("all 40 classes")
    assert len(card["prototype"]["miou_and_interval_by_fold"]) == 4
    assert "stem.0.weight" in load_file(folder / "scenes-resnet.safetensors")


def test_clip_learns_from_any_folder_of_pictures_with_captions(tmp_path):
    data = tmp_path / "pictures"
    data.mkdir()
    for number in range(6):
        scene = render_scene("folder", 0, number, 40)
        Image.fromarray(scene.image).save(data / f"{number}.png")
        (data / f"{number}.txt").write_text("\n".join(scene.captions))
    arguments = {**CLIP, "model": "scenes-clip-vit", "data": str(data), "patch_dropout": 0.25}
    with pytest.raises(ConfigError, match="validation_scenes=4 is not read"):
        run("pretrain_clip", arguments, tmp_path / "run")
    del arguments["validation_scenes"]
    run("pretrain_clip", arguments, tmp_path / "run")
    card = json.loads((tmp_path / "run" / "scenes-clip-vit.json").read_text())
    assert card["zero_shot"] is None and str(data) not in json.dumps(card)
    load_clip("scenes-clip-vit", tmp_path / "run" / "scenes-clip-vit.safetensors")


def test_clip_goes_on_from_weights(tmp_path):
    """Two steps at almost no rate: what is left is what it started from."""
    small = {**CLIP, "model": "scenes-clip-vit", "start": "scenes", "lr": 1e-9}
    del small["text_steps"]
    run("pretrain_clip", small, tmp_path)
    after = load_clip("scenes-clip-vit", tmp_path / "scenes-clip-vit.safetensors").model
    before = load_clip("scenes-clip-vit").model.state_dict()
    for name, values in after.named_parameters():
        torch.testing.assert_close(values, before[name], rtol=2e-3, atol=1e-4)
    card = json.loads((tmp_path / "scenes-clip-vit.json").read_text())
    assert "-p start=scenes" in card["command"] and card["settings"]["text_steps"] == 0
    assert card["zero_shot"]["size"] == 40
    assert card["curve"] == {"2": card["loss"]}


def test_a_finished_run_is_not_repeated(trained, capsys):
    written = (trained / "results.json").stat().st_mtime_ns
    same = {**TRAIN, **CHOSEN, "validation_episodes": 4}
    run("train", {**same, "workers": 1}, trained)
    assert "already finished" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"other parameters \(fold: 0 then, 1 now\)"):
        run("train", {**same, "fold": 1}, trained)
    assert (trained / "results.json").stat().st_mtime_ns == written


def test_a_head_is_not_tested_on_classes_it_was_trained_on(trained, tmp_path):
    parameters = {**SMALL, "method": "pfenet", "head": str(trained / "head.safetensors")}
    with pytest.raises(ConfigError, match="was trained with fold=0"):
        _ = Experiment(parse("evaluate", {**parameters, "fold": 1}), tmp_path).method
    results = Experiment(parse("evaluate", parameters), tmp_path).evaluate()
    assert results["head"]["protocol"]["selection"] == "held_out_base"
    assert results["head"]["training"]["steps"] == 4
    assert len(results["data"]["novel"]) == 10 and results["data"]["left_out"] == []


def test_a_training_does_not_go_on_from_another_folds_checkpoint(tmp_path):
    first = Experiment(parse("train", {**TRAIN, "steps": 2}), tmp_path)
    first.train()
    other = Experiment(parse("train", {**TRAIN, "steps": 2, "fold": 1, "workers": 1}), tmp_path)
    with pytest.raises(CheckpointError, match=r"other settings \(fold: 0 then, 1 now\)"):
        other.train()


def test_a_killed_kernel_is_a_failed_run(tmp_path, monkeypatch):
    def dies(*_, **__):
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", dies)
    with pytest.raises(RunError, match="its kernel was killed"):
        run("evaluate", SMALL, tmp_path)
    assert read_status(tmp_path)["state"] == "failed"


def test_a_value_that_is_no_yaml_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["run", "evaluate", "-p", "root=[a"])
    assert "the value is no YAML" in capsys.readouterr().err


def test_a_failing_notebook_is_reported_with_its_error(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(RunError, match=r"FileNotFoundError: .*/nothing holds no class folders"):
        run(
            "evaluate",
            {
                **SMALL,
                "benchmark": "folder",
                "root": str(tmp_path / "nothing"),
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
    process = started("train", arguments, tmp_path)
    os.kill(process.pid, stop)
    process.wait(60)
    stopped = json.loads((tmp_path / "status.json").read_text())
    assert stopped["state"] == state
    assert not (tmp_path / "results.json").exists()
    assert not list(tmp_path.glob(".*.pt")), "a half-written checkpoint stayed behind"
    if stop == signal.SIGKILL:
        assert read_status(tmp_path)["state"] == "lost", "seen at once, not after the heartbeat"
        assert run_again("train", arguments, tmp_path) == list(range(20, 201, 20))


def test_a_killed_clip_pretraining_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path / "data"))
    folder, arguments = tmp_path / "run", {**CLIP, "steps": 100, "checkpoint_every": 2}
    process = started("pretrain_clip", arguments, folder)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert read_status(folder)["state"] == "lost"
    assert run_again("pretrain_clip", arguments, folder) == [25, 50, 75, 100]
    card = json.loads((folder / "scenes-clip-rn.json").read_text())
    assert card["pictures"] == 400
    assert "run pretrain_clip " in card["command"] and "steps=100" in card["command"]
    assert 0 <= card["zero_shot"]["dense_miou"] <= card["zero_shot"]["dense_miou_interval"][1] <= 1
    encoder = load_clip("scenes-clip-rn", folder / "scenes-clip-rn.safetensors")
    assert "mug" in encoder.tokenizer.vocabulary and encoder.stride == 8


def started(template, arguments, folder):
    """A run in a process of its own, as soon as its first checkpoint is there."""
    command = [sys.executable, "-m", "fsslib.runs", "run", template, "--out", str(folder)]
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
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None and time.time() < deadline, "training never started"
        time.sleep(0.1)
    return process


def run_again(template, arguments, folder):
    """Run a second time; it goes on, finishes, and its journal's steps are returned."""
    run(template, arguments, folder)
    assert read_status(folder)["state"] == "finished"
    assert "going on after step" in (folder / "log.txt").read_text()
    return [row["step"] for row in read_journal(folder / "metrics.jsonl")]
