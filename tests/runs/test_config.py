"""Parameters are refused before anything starts, and in words."""

import pytest

from fsslib.config import ConfigError
from fsslib.encoders import build_backbone
from fsslib.methods import build_method
from fsslib.runs.config import parse, run_id
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.train_config import TrainRunConfig


@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        ("train", {"fould": 1}, "unknown parameter 'fould'; did you mean 'fold'"),
        ("train", {"fold": 4}, "fold=4: expected 0, 1, 2 or 3"),
        ("train", {"fold": "one"}, "fold='one'"),
        ("train", {"fold": True}, "fold=True: expected int"),
        ("train", {"shot": 0}, "shot=0: expected at least 1"),
        ("train", {"method": "pfnet"}, "method='pfnet': expected one of"),
        ("train", {"method": "prototype"}, "training-free"),
        ("train", {"backbone": "resnet51"}, "backbone='resnet51'"),
        ("train", {"preset": "papr"}, "preset='papr'"),
        ("train", {"recipe": "fast"}, "recipe='fast'"),
        ("train", {"lr": -1.0}, r"lr=-1\.0"),
        ("train", {"precision": "int8"}, "precision='int8'"),
        ("train", {"head": "shipped"}, "training makes the head"),
        ("train", {"selection": "held_out_base"}, "needs held_out >= 1"),
        ("train", {"selection": "test_fold"}, "validate_every=0: expected 1 to 1600"),
        (
            "train",
            {"selection": "test_fold", "validate_every": 9, "steps": 8},
            "validate_every=9: expected 1 to 8",
        ),
        ("train", {"benchmark": "folder", "root": "pictures"}, "no classes to train on"),
        ("evaluate", {"batch_size": 0}, "batch_size=0: expected at least 1"),
        ("evaluate", {"workers": -1}, "workers=-1: expected at least 0"),
        ("evaluate", {"device": "gpu"}, "device='gpu': expected auto, cpu, cuda"),
        ("train", {"minimum_object_pixels": 5}, "Scenes-10i has no area rule"),
        ("evaluate", {"method": "pfenet"}, "needs head=: a trained file, or 'shipped'"),
        ("evaluate", {"method": "prototype", "head": "x"}, "has no head"),
        (
            "evaluate",
            {"method": "clip_prior", "settings": "threshold=2"},
            "expected a value in 0..1",
        ),
        ("evaluate", {"method": "prior_threshold", "settings": "limit=0.1"}, "unknown parameter"),
        ("evaluate", {"benchmark": "coco"}, "benchmark='coco'"),
        ("train", {"method": "qgnet", "backbone": "resnet50"}, "name the extractor"),
        ("evaluate", {"method": "clip_dinoiser", "settings": "variant=finetuned"}, "alone"),
        ("train", {"method": "clip_dinoiser_finetuned", "settings": "variant=text"}, "alone"),
        (
            "evaluate",
            {"method": "clip_prior", "pi_clip": "official", "benchmark": "pascal5i"},
            "a padded square has not the shape",
        ),
        ("pretrain_backbone", {"steps": "many"}, "steps='many'"),
        ("pretrain_clip", {"model": "scenes-clip"}, "model='scenes-clip': expected one of"),
        ("pretrain_clip", {"steps": 5}, "are more than steps=5"),
        ("pretrain_clip", {"data": "x", "teacher": "scenes-clip-rn"}, "leave it out with data="),
        ("trian", {}, "template='trian'"),
    ],
)
def test_wrong_parameters_are_named(template, parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse(template, parameters)


def test_numbers_from_yaml_strings_are_cast():
    assert parse("train", {"lr": "1e-4"}).training().lr == 1e-4


def test_a_baseline_is_cut_where_the_run_says():
    config = parse("evaluate", {"method": "prior_threshold", "settings": "threshold=0.3"})
    method = build_method(
        config.method, build_backbone("scenes-resnet", "random"), **config.method_settings()
    )
    assert method.threshold == 0.3


def test_given_values_win_over_presets():
    config = parse("train", {"recipe": "demo", "steps": 7, "image_size": 65, "episodes": 9})
    assert (config.training().steps, config.training().batch_size) == (7, 8)
    assert (config.protocol().image_size, config.protocol().episodes) == (65, 9)
    assert config.protocol().novel_in_train == "drop"


def test_equal_parameters_share_a_folder_and_others_do_not():
    one, same, other = (TrainRunConfig(seed=s) for s in (0, 0, 1))
    assert run_id(one) == run_id(same) != run_id(other)
    assert one.run_name == "pfenet/scenes10i_f0_1shot_scenes-resnet_s0"
    assert EvaluateConfig().run_name == "prototype/scenes10i_f0_1shot_scenes-resnet"
