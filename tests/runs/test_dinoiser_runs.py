"""CLIP-DINOiser by the run templates: teachers, heads, support images, N-way, early stopping."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fsslib.config import ConfigError
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.scenes import CLASS_NAMES
from fsslib.data.scenes.album import Album
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.dino import load_dino, small_dino
from fsslib.evaluation.open_vocabulary import Windows, open_vocabulary
from fsslib.methods.clip_dinoiser import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import ClipDinoiser, load_heads
from fsslib.methods.n_way import OneVersusRest
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.pretraining import clip_dinoiser as dinoiser_runs
from fsslib.runs.runner import run
from fsslib.training.journal import read_journal

TEST = {"workers": 0, "batch_size": 2, "device": "cpu", "episodes": 4}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A DINO that knows nothing, as a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "scenes-dino.safetensors"
    save_file({k: v.contiguous() for k, v in small_dino().model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    album = Album("test", 0, 8, 32, tmp_path_factory.mktemp("album")).prepare(workers=1)
    for number in range(8):
        Image.fromarray(album.image(number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def heads(teacher, pictures, tmp_path_factory):
    """A run of `train_dinoiser`, small."""
    small = {"steps": 4, "batch_size": 4, "pictures": 8, "size": 32, "channels": 8, "drop_at": 3}
    values = {"data": str(pictures), "dino_weights": str(teacher), "validation_pictures": 2}
    return run("train_dinoiser", {**small, **values}, tmp_path_factory.mktemp("heads"))


def test_heads_are_trained_and_their_card_says_how(heads, pictures):
    card = json.loads((heads / "heads.json").read_text())
    assert set(card["zero_shot"]) >= {"plain", "pooled", "pooled_and_refined"}
    assert card["above_floor"] >= 0 and card["saliency"] == "FOUND's seed"
    assert str(pictures) not in json.dumps(card)
    state = load_file(heads / "heads.safetensors")
    assert set(state) == {
        f"{h}.{p}" for h in ("obj_proj", "bkg_decoder") for p in ("weight", "bias")
    }
    assert load_heads(heads / "heads.safetensors", 128).obj_proj.out_channels == 8


def test_words_alone_are_scored_by_papermill(heads, tmp_path):
    values = {"heads": str(heads / "heads.safetensors"), "pictures": 3, "device": "cpu"}
    folder = run("zero_shot", {**values, "background": False}, tmp_path / "run")
    card = json.loads((folder / "zero_shot.json").read_text())
    assert card["pictures"] == 3 and not card["background"] and card["windows"]["stride"] == 48
    assert 0 <= card["miou"] <= 1 and set(card["per_class"]) <= set(CLASS_NAMES)
    model = ClipDinoiser(
        load_clip("scenes-clip-vit"),
        load_heads(heads / "heads.safetensors", 128),
        DinoiserConfig.preset("scenes", variant="text"),
    )
    benchmark = load_benchmark(Protocol.preset("scenes10i"))
    expected = open_vocabulary(model, benchmark, 3, False, windows=Windows(96, 96, 48))
    assert card["miou"] == pytest.approx(expected["miou"], abs=1e-6)


def test_dino_is_pretrained_on_any_folder_and_loads(pictures, tmp_path):
    small = {"steps": 2, "batch_size": 4, "scenes": 8, "size": 32, "coarse_size": 16}
    small |= {"fine_steps": 1, "local_crops": 1, "out": 16, "validation_scenes": 4}
    small |= {"monitor_every": 1}
    folder = run("pretrain_dino", {**small, "data": str(pictures)}, tmp_path)
    card = json.loads((folder / "scenes-dino.json").read_text())
    assert 0 <= card["neighbour_accuracy"] <= 1 and card["agreement"]["scenes"] == 4
    assert [row["step"] for row in card["curve"]] == [1, 2]
    last = card["curve"][-1]
    assert last["neighbour_accuracy"] == pytest.approx(card["neighbour_accuracy"], abs=1e-4)
    precisions = {"average_precision": card["agreement"], "as_is": card["as_is"]}
    for name, scores in precisions.items():
        assert last[name] == pytest.approx(scores["average_precision"], abs=1e-4)
    load_dino("scenes-dino", folder / "scenes-dino.safetensors")


def test_support_images_are_evaluated_by_papermill(heads, tmp_path):
    chosen = {"method": "clip_dinoiser", "settings": "variant=fusion alpha=0.25", "way": 2}
    values = {**TEST, **chosen, "heads": str(heads / "heads.safetensors"), "shot": 2}
    results = json.loads((run("evaluate", values, tmp_path) / "results.json").read_text())
    assert results["run"] == "clip_dinoiser+fusion/scenes10i_f0_2way_2shot_scenes-clip-vit"
    assert results["protocol"]["way"] == 2 and results["class_names_read"]
    assert results["n_way"] == "SupportDinoiser"
    assert results["config"]["parts"] == "heads=heads.safetensors"
    assert 0 <= results["miou"] <= 1 and 0 <= results["miou_with_background"] <= 1


@pytest.mark.parametrize(
    "settings",
    ["variant=text", "variant=global_image", "variant=centred pooling=false", "background=decoder"],
)
def test_variants_are_runs_of_their_own(heads, tmp_path, settings):
    values = {**TEST, "method": "clip_dinoiser", "settings": settings}
    experiment = Experiment(
        parse("evaluate", {**values, "heads": str(heads / "heads.safetensors")}), tmp_path
    )
    results = experiment.evaluate()
    assert results["episodes"] == 4 and results["n_way"] is None
    assert results["class_names_read"] == (settings == "variant=text")


def test_binary_methods_answer_two_way_episodes(tmp_path):
    config = parse("evaluate", {**TEST, "method": "prototype", "way": 2})
    experiment = Experiment(config, tmp_path)
    assert isinstance(experiment.method, OneVersusRest)
    results = experiment.evaluate()
    assert results["n_way"] == "OneVersusRest" and results["run"].endswith(
        "2way_1shot_scenes-resnet"
    )
    assert sum(row["episodes"] for row in results["per_class"].values()) == 2 * 4


def test_binary_methods_train_on_one_way_episodes(tmp_path):
    small = {"weights": "random", "image_size": 33, "steps": 2, "train_batch_size": 2}
    experiment = Experiment(parse("train", {**TEST, **small, "way": 2}), tmp_path)
    experiment.train()
    assert experiment.evaluate()["protocol"]["way"] == 2
    head = str(tmp_path / "head.safetensors")
    values = {**TEST, "weights": "random", "image_size": 33, "method": "pfenet", "head": head}
    Experiment(parse("evaluate", values), tmp_path / "one").evaluate()  # the head knows no way


def test_fine_tuning_stops_when_base_classes_gain_nothing(heads, tmp_path):
    chosen = {"method": "clip_dinoiser_finetuned", "recipe": "clip_dinoiser_scenes", "way": 2}
    steps = {"steps": 40, "validate_every": 2, "patience": 2, "lr": 1e-12, "train_batch_size": 2}
    held = {"selection": "held_out_base", "held_out": 3, "validation_episodes": 2}
    values = {**TEST, **chosen, **steps, **held, "heads": str(heads / "heads.safetensors")}
    experiment = Experiment(parse("train", values), tmp_path)
    experiment.train()
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert rows[-1]["step"] == 6 and experiment.training["selected_step"] == 2
    before = (tmp_path / "metrics.jsonl").read_text()
    again = Experiment(parse("train", values), tmp_path)
    again.train()  # a finished training is not gone on with
    assert (tmp_path / "metrics.jsonl").read_text() == before
    state = load_file(tmp_path / "head.safetensors")
    assert {"log_temperature", "alpha_logit", "heads.obj_proj.weight"} <= set(state)
    values = {k: v for k, v in values.items() if k in {**TEST, "way": 0, "heads": 0, "method": 0}}
    values |= {
        "selection": "held_out_base",
        "held_out": 3,
        "head": str(tmp_path / "head.safetensors"),
    }
    other = Experiment(parse("evaluate", values), tmp_path / "other").evaluate()
    assert other["miou"] == pytest.approx(experiment.evaluate()["miou"], abs=0.03)  # fp16 storage


@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        ("evaluate", {"method": "clip_dinoiser", "settings": "variant=v3"}, "variant='v3'"),
        ("evaluate", {"method": "clip_dinoiser", "settings": "alpha=2"}, "alpha=2"),
        ("evaluate", {"way": 0}, "way=0: expected at least 1"),
        ("evaluate", {"method": "clip_dinoiser_finetuned"}, "needs head="),
        ("train_dinoiser", {"recipe": "paper"}, "recipe='paper'"),
        ("zero_shot", {"pictures": 0}, "pictures=0"),
        ("zero_shot", {"settings": "gamma=2"}, "gamma=2"),
        ("train_dinoiser", {"kernel": 2}, "kernel=2"),
        ("pretrain_dino", {"size": 90}, "multiple of 16"),
    ],
)
def test_wrong_parameters_are_named(template, parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse(template, parameters)


def test_heads_of_a_resnet_are_refused():
    config = parse("train_dinoiser", {"clip_model": "scenes-clip-rn"})
    with pytest.raises(ConfigError, match="no Vision Transformer"):
        dinoiser_runs.heads_parts(config)
