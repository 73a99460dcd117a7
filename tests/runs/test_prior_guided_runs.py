"""Base learners, BAM, HDMNet and PI-CLIP as the run templates train and evaluate them."""

from pathlib import Path

import pytest
import torch

from fsslib.config import ConfigError
from fsslib.encoders.weights import read_state
from fsslib.files import read_json
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.pretraining.supervised import train_base_learner

SHORT = {"workers": 0, "batch_size": 2, "device": "cpu"}
TEST = {**SHORT, "episodes": 2}
TRAIN = {**TEST, "steps": 2, "train_batch_size": 2, "checkpoint_every": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A base learner of fold 1 that was trained for two steps."""
    folder = tmp_path_factory.mktemp("base")
    config = parse("train_base", {**SHORT, "fold": 1, "steps": 2, "pictures": 2})
    results = train_base_learner(config, folder)
    assert len(results["per_class"]) == 30
    return folder / "base.safetensors"


def test_a_base_learner_leaves_a_small_head_and_a_card(base):
    state = read_state(base)
    assert state["class_ids"].tolist() == [i for i in range(1, 41) if not 11 <= i <= 20]
    assert not any(key.startswith("backbone.") for key in state)
    card = read_json(base.with_suffix(".json"))
    assert card["method"] == "base_learner"
    assert card["config"]["fold"] == 1
    assert (base.parent / "results.json").is_file()


def test_a_base_learner_goes_on_where_it_stopped(base, tmp_path):
    whole = parse("train_base", {**SHORT, "fold": 1, "steps": 2, "pictures": 2})
    train_base_learner(whole, tmp_path)
    again, first = read_state(tmp_path / "base.safetensors"), read_state(base)
    assert all(torch.equal(again[key], first[key]) for key in first)


@pytest.mark.parametrize(
    ("method", "prior", "shot"),
    [("bam", "own", 2), ("hdmnet", "pi_clip", 2), ("pfenet", "pi_clip", 1), ("hdmnet", "none", 1)],
)
def test_a_method_trains_and_a_fresh_one_loads_its_head(base, tmp_path, method, prior, shot):
    chosen = {"method": method, "prior": prior, "shot": shot, "fold": 1}
    chosen |= {} if method == "pfenet" else {"base": str(base)}
    trained = Experiment(parse("train", {**TRAIN, **chosen}), tmp_path)
    trained.train()
    results = trained.evaluate()
    assert results["config"]["parts"] == ("" if method == "pfenet" else "base=base.safetensors")
    assert results["run"].startswith(
        "hdmnet+pi_clip" if chosen["prior"] == "pi_clip" and method == "hdmnet" else method
    )
    head = str(tmp_path / "head.safetensors")
    other = Experiment(parse("evaluate", {**TEST, **chosen, "head": head}), tmp_path / "other")
    assert other.evaluate()["miou"] == pytest.approx(results["miou"], abs=0.02)  # fp16 storage


def test_a_head_on_another_backbone_is_refused(tmp_path):
    config = parse("evaluate", {**TEST, "method": "pfenet", "head": "shipped", "weights": "random"})
    with pytest.raises(
        ConfigError, match=r"trained with backbone='scenes-resnet scenes'.*got .*random"
    ):
        _ = Experiment(config, tmp_path).method


def test_two_processes_start_from_equal_weights(base, tmp_path):
    chosen = {**TRAIN, "method": "bam", "prior": "pi_clip", "fold": 1, "base": str(base)}
    one, other = (Experiment(parse("train", chosen), tmp_path / name).method for name in "ab")
    states = one.head_state(), other.head_state()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_base_learner_of_another_fold_is_refused(base, tmp_path):
    config = parse("train", {**TRAIN, "method": "bam", "fold": 0, "base": str(base)})
    with pytest.raises(ConfigError, match="knows other classes than fold 0"):
        _ = Experiment(config, tmp_path).method


def test_a_base_learner_of_other_weights_is_refused(base, tmp_path):
    parameters = {**TRAIN, "method": "bam", "fold": 1, "base": str(base), "weights": "random"}
    with pytest.raises(ConfigError, match="with backbone='scenes-resnet scenes' and reads"):
        _ = Experiment(parse("train", parameters), tmp_path).method


def test_the_clip_prior_alone_needs_no_training(tmp_path):
    config = parse("evaluate", {**TEST, "method": "clip_prior"})
    results = Experiment(config, tmp_path).evaluate()
    assert not results["trained"]
    assert not results["privileged_query_labels"]
    assert all("novel" in what for what in results["encoders_have_seen"].values())
    assert set(results["encoders_have_seen"]) == {"scenes-clip-vit"}


def test_the_oracle_is_marked_and_has_a_protocol_of_its_own(tmp_path):
    plain = parse("evaluate", {**TEST, "method": "clip_prior"})
    oracle = parse(
        "evaluate",
        {**TEST, "method": "clip_prior", "pi_clip": "scenes candidate_classes=oracle"},
    )
    assert plain.test_protocol.hash != oracle.test_protocol.hash
    assert Experiment(oracle, tmp_path).evaluate()["privileged_query_labels"]


def test_changes_of_the_priors_are_checked():
    chosen = {"method": "clip_prior", "pi_clip": "scenes vvp=false threshold=0.5"}
    priors = parse("evaluate", chosen).clip_prior_settings
    assert (priors.vvp, priors.threshold, priors.square) == (False, 0.5, True)
    for text, message in (
        ("best", "preset='best'"),
        ("scenes vvp", "expected changes as name=value"),
        ("scenes vpt=false", "unknown parameter 'vpt'; did you mean"),
        ("scenes threshold=half", "threshold='half'"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse("evaluate", {"method": "clip_prior", "pi_clip": text})


def test_a_baseline_reads_no_prior():
    with pytest.raises(ConfigError, match="method 'prototype' reads no prior"):
        parse("evaluate", {"method": "prototype", "prior": "pi_clip"})


def test_run_names_say_where_the_prior_comes_from():
    for prior, label in (("own", "pfenet"), ("pi_clip", "pfenet+pi_clip"), ("none", "pfenet+none")):
        config = parse("train", {"method": "pfenet", "prior": prior})
        assert config.run_name == f"{label}/scenes10i_f0_1shot_scenes-resnet_s0"
