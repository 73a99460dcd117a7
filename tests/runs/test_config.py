"""Parameters are refused before anything starts, and in words."""

import pytest

from fsslib.config import ConfigError
from fsslib.runs.config import CONFIGS, parse, run_id
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.train_config import TrainRunConfig

SEEDED = [name for name in CONFIGS if name not in ("evaluate", "zero_shot")]


@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        ("train", {"fould": 1}, "unknown parameter 'fould'; did you mean 'fold'"),
        ("train", {"fold": 4}, "fold=4: expected 0 to 3"),
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
        ("train", {"benchmark": "folder", "root": "pictures"}, "pictures holds no class"),
        ("evaluate", {"batch_size": 0}, "batch_size=0: expected at least 1"),
        ("evaluate", {"workers": -1}, "workers=-1: expected at least 0"),
        ("evaluate", {"device": "gpu"}, "device='gpu': expected auto, cpu, cuda"),
        ("train", {"minimum_object_pixels": 5}, "scenes10i has no area rule"),
        ("evaluate", {"method": "pfenet"}, "needs head=: a trained file, or 'shipped'"),
        ("evaluate", {"method": "prototype", "head": "x"}, "has no head"),
        (
            "evaluate",
            {"method": "clip_prior", "settings": "threshold=2"},
            "expected 0 to 1",
        ),
        ("evaluate", {"method": "prior_threshold", "settings": "limit=0.1"}, "unknown parameter"),
        ("evaluate", {"benchmark": "coco"}, "benchmark='coco'"),
        ("train", {"method": "qgnet", "backbone": "resnet50"}, "name the extractor"),
        (
            "evaluate",
            {"method": "clip_dinoiser", "settings": "variant=finetuned"},
            "use the method",
        ),
        ("train", {"method": "clip_dinoiser_finetuned", "settings": "variant=text"}, "has none"),
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
        ("train", {"patience": -1, "validate_every": 1}, "patience=-1: expected at least 0"),
        ("train", {"validate_every": -1}, "validate_every=-1: expected at least 0"),
        ("train", {"lr": float("nan")}, "lr=nan: expected a finite number"),
        ("train", {"weight_decay": -1}, r"weight_decay=-1\.0: expected at least 0"),
        ("train", {"max_grad_norm": -1}, r"max_grad_norm=-1\.0: expected at least 0"),
        ("train", {"validation_episodes": 0}, "validation_episodes=0: expected at least 1"),
        ("train", {"train_batch_size": 0}, "batch_size=0: expected at least 1"),
        *((name, {"seed": -1}, "seed=-1: expected at least 0") for name in SEEDED),
        *((name, {"workers": -1}, "workers=-1: expected at least 0") for name in SEEDED),
        *((name, {"device": "foo"}, "device='foo': expected auto, cpu") for name in CONFIGS),
        *(
            (name, {"feature_cache": -1}, "feature_cache=-1: expected at least 0")
            for name in ("train", "evaluate", "train_base")
        ),
        ("pretrain_moco", {"name": "../../evil"}, "name='../../evil': expected a plain name"),
        ("pretrain_moco", {"name": ".."}, "name='..': expected a plain name"),
        ("pretrain_backbone", {"backbone": "../../evil"}, "backbone='../../evil': expected one of"),
        ("pretrain_backbone", {"lr": 0}, r"lr=0\.0: expected more than 0"),
        ("pretrain_backbone", {"checkpoint_every": 0}, "checkpoint_every=0: expected at least 1"),
        ("pretrain_clip", {"model": "local-dir:/evil"}, "model='local-dir:/evil': expected one of"),
        *(
            (name, {"clip_model": "../evil"}, "clip='../evil': expected one of")
            for name in ("evaluate", "train_dinoiser", "zero_shot")
        ),
        (
            "evaluate",
            {"method": "prior_threshold", "settings": "threshold=[1"},
            r"settings: 'threshold=\[1'; the value is no YAML",
        ),
        ("evaluate", {"words": ""}, "words='': expected a preset's name first"),
        (
            "evaluate",
            {"method": "clip_prior", "pi_clip": ""},
            "pi_clip='': expected a preset's name first",
        ),
        ("pretrain_moco", {"superpixels": " "}, "superpixels=' ': expected a preset's name first"),
        ("train", {"guidance": "image"}, "guidance='image': expected one of"),
        ("evaluate", {"way": 11}, "way=11: a fold of scenes10i has 10 novel classes"),
        ("evaluate", {"way": 6, "benchmark": "pascal5i"}, "way=6: a fold of pascal5i has 5"),
        (
            "train",
            {"way": 4, "held_out": 3, "selection": "held_out_base", "validate_every": 9},
            "way=4 with held_out=3",
        ),
        *(
            (name, {"root": "pictures"}, "root='pictures': scenes10i is rendered")
            for name in ("train", "evaluate", "train_base", "zero_shot")
        ),
        ("evaluate", {"benchmark": "folder"}, "benchmark='folder' needs a root"),
        ("zero_shot", {"benchmark": "folder"}, "benchmark='folder' needs a root"),
        ("train", {"settings": "dim=0"}, "dim=0: expected at least 1"),
        (
            "train",
            {"method": "hdmnet", "settings": "reduce_dim=0"},
            "reduce_dim=0: expected at least 1",
        ),
        ("train_base", {"batch_size": 0}, "batch_size=0: expected at least 1"),
        ("train_base", {"benchmark": "folder", "root": "x"}, "x holds no class"),
    ],
)
def test_wrong_parameters_are_named(template, parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse(template, parameters)


def test_the_largest_and_the_least_are_allowed():
    assert parse("evaluate", {"way": 10}).way == 10
    assert parse("train", {"patience": 0, "weight_decay": 0, "workers": 0}).training.workers == 0
    assert parse("evaluate", {"benchmark": "folder", "root": "pictures", "way": 30}).way == 30
    assert parse("pretrain_moco", {"name": "my-moco_1.5"}).release == "my-moco_1.5"


def test_numbers_from_yaml_strings_are_cast():
    assert parse("train", {"lr": "1e-4"}).training.lr == 1e-4


def test_a_baseline_is_cut_where_the_run_says():
    config = parse("evaluate", {"method": "prior_threshold", "settings": "threshold=0.3"})
    assert config.method_settings.threshold == 0.3


def test_given_values_win_over_presets():
    config = parse("train", {"recipe": "demo", "steps": 7, "image_size": 65, "episodes": 9})
    assert (config.training.steps, config.training.batch_size) == (7, 8)
    assert (config.test_protocol.image_size, config.test_protocol.episodes) == (65, 9)
    assert config.test_protocol.novel_in_train == "drop"


def test_equal_parameters_share_a_folder_and_others_do_not():
    one, same, other = (TrainRunConfig(seed=s) for s in (0, 0, 1))
    assert run_id(one) == run_id(same) != run_id(other)
    assert one.run_name == "pfenet/scenes10i_f0_1shot_scenes-resnet_s0"
    assert EvaluateConfig().run_name == "prototype/scenes10i_f0_1shot_scenes-resnet"
