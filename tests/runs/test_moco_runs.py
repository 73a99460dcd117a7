"""The template of QGNet's extractor: killed and gone on with, from scenes and from any folder."""

import json
import os
import signal

import pytest
from PIL import Image
from safetensors.torch import load_file
from test_templates import run_again, started

from fsslib.config import ConfigError
from fsslib.data.scenes import render_scene
from fsslib.encoders import build_backbone
from fsslib.runs.config import command_of, parse
from fsslib.runs.runner import run
from fsslib.runs.status import read_status

SMALL = {
    **{"scenes": 16, "batch_size": 4, "size": 32, "local_size": 24, "queue": 4},
    **{
        "local_queue": 8,
        "bn_splits": 1,
        "monitor_pictures": 6,
        "prepare_workers": 1,
        "checkpoint_every": 2,
    },
}


def test_a_killed_pretraining_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path / "data"))
    folder, arguments = tmp_path / "run", {**SMALL, "epochs": 10, "monitor_every": 20}
    process = started("pretrain_moco", arguments, folder)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert read_status(folder)["state"] == "lost"
    assert run_again("pretrain_moco", arguments, folder) == [20, 25, 40, 40]
    card = json.loads((folder / "scenes-moco.json").read_text())
    assert card["steps"] == 40 and card["pictures"] == 16 and card["encoder"] == "key"
    assert [row["step"] for row in card["curve"]] == [20, 40]
    assert set(card["monitor"]) == {"random", "scenes"}
    assert card["superpixels"]["pictures"] == 16
    assert "novel" in card["seen"] and "epochs=10" in card["command"]
    build_backbone("scenes-moco", folder / "scenes-moco.safetensors")


def test_it_learns_from_any_folder_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path / "cache"))
    for number in range(8):
        pixels = render_scene("folder", 0, number, 64).image[: 64 - 4 * number]
        path = tmp_path / "pictures" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    small = {name: value for name, value in SMALL.items() if name != "scenes"}
    chosen = {"data": str(tmp_path / "pictures"), "name": "mine", "epochs": 1, "encoder": "query"}
    chosen |= {"superpixels": "scenes_felzenszwalb long_side=64", "masked_pool": True}
    folder = run("pretrain_moco", {**small, **chosen}, tmp_path / "run")
    card = json.loads((folder / "mine.json").read_text())
    assert card["monitor"] is None and card["command"] is None
    assert str(tmp_path) not in json.dumps(card)
    assert card["superpixels"]["algorithm"] == "felzenszwalb"
    assert "stem.0.weight" in load_file(folder / "mine.safetensors")


def test_the_arms_are_one_parameter_apart():
    for name, branches in (("global_weight", ("local",)), ("local_weight", ("global",))):
        config = parse("pretrain_moco", {name: 0})
        assert config.training.branches == branches
        assert command_of(config).endswith(f'pretrain_moco -p recipe="scenes {name}=0"')
    assert parse("pretrain_moco", {}).training.branches == ("global", "local")
    felzenszwalb = parse("pretrain_moco", {"superpixels": "scenes_felzenszwalb"}).segmentation()
    assert felzenszwalb.algorithm == "felzenszwalb"
    assert parse("pretrain_moco", {"preset": "paper"}).segmentation().long_side == 473


def test_a_command_makes_the_same_settings():
    parameters = {"superpixels": "scenes_slic n_segments=50", "queue": 2048, "patches": 2}
    command = command_of(parse("pretrain_moco", parameters))
    assert '-p superpixels="scenes_slic n_segments=50"' in command
    assert '-p recipe="scenes queue=2048 patches=2"' in command


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "resnet5"}, "backbone='resnet5'"),
        ({"superpixels": "slic n_segment=5"}, "did you mean 'n_segments'"),
        ({"settings": "lr=0.1", "lr": 0.2}, "'lr'"),
        ({"settings": "lr=0.1", "fill": "mean"}, None),
        ({"settings": "seed=1"}, "a parameter of its own"),
        ({"root": "somewhere"}, "root='somewhere'"),
        ({"data": "coco20i"}, "use 'auto' .COCO: 'auto_coco'."),
        ({"train_list": "sbd_aug"}, "train_list='sbd_aug' is PASCAL's; data=None"),
        ({"queue": "short"}, "queue='short'"),
        ({"same_image_negatives": True}, "use 2"),
    ],
)
def test_wrong_parameters_are_named_before_anything_starts(parameters, message):
    if message is None:
        assert parse("pretrain_moco", parameters).training.lr == 0.1
        return
    with pytest.raises(ConfigError, match=message):
        parse("pretrain_moco", parameters)
