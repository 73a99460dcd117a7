"""LFSS and the rows beside it as the run templates train and evaluate them."""

import pytest
import torch

from fsslib.config import ConfigError
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment

TEST = {"workers": 0, "batch_size": 2, "device": "cpu", "episodes": 2}
TRAIN = {**TEST, "steps": 2, "train_batch_size": 2, "checkpoint_every": 1}


@pytest.mark.parametrize(
    ("chosen", "label", "supervision"),
    [
        ({"method": "lfss"}, "lfss", "gt"),
        ({"method": "lfss", "shot": 2, "settings": "supervision=pseudo"}, "lfss+pseudo", "pseudo"),
        ({"method": "lfss", "guidance": "mask", "settings": "dps=false"}, "lfss+mask", "gt"),
        ({"method": "panet", "guidance": "word"}, "panet+word", "gt"),
        ({"method": "asgnet"}, "asgnet", "gt"),
        ({"method": "hsnet", "shot": 2}, "hsnet", "gt"),
    ],
)
def test_a_method_trains_and_a_fresh_one_loads_its_head(tmp_path, chosen, label, supervision):
    trained = Experiment(parse("train", {**TRAIN, **chosen}), tmp_path)
    trained.train()
    results = trained.evaluate()
    assert results["run"].startswith(f"{label}/")
    assert results["supervision"] == supervision
    expected = "word" if label in ("lfss", "lfss+pseudo", "panet+word") else "mask"
    assert results["guidance"] == expected
    head = str(tmp_path / "head.safetensors")
    other = Experiment(parse("evaluate", {**TEST, **chosen, "head": head}), tmp_path / "other")
    assert other.evaluate()["per_class"] == results["per_class"], "what was scored is what is saved"


def test_baselines_can_be_guided_by_a_word(tmp_path):
    """And the word is all they see of the support: another annotation changes nothing."""
    config = parse("evaluate", {**TEST, "method": "prototype", "guidance": "word"})
    experiment = Experiment(config, tmp_path)
    results = experiment.evaluate()
    assert results["run"].startswith("prototype+word/")
    assert results["supervision"] == "none"
    masked = Experiment(parse("evaluate", {**TEST, "method": "prototype"}), tmp_path / "other")
    assert masked.evaluate()["per_class"] != results["per_class"]


def test_pseudo_masks_are_scored_by_themselves(tmp_path):
    """Table 3: as the word gave them, and refined; nothing of them is trained."""
    results = []
    for number, settings in enumerate(("refine=false", "refine=true", "variant=literal")):
        config = parse(
            "evaluate", {**TEST, "episodes": 6, "method": "word_mask", "settings": settings}
        )
        results.append(Experiment(config, tmp_path / str(number)).evaluate())
    assert {row["supervision"] for row in results} == {"none"}
    assert len({str(row["per_class"]) for row in results}) == 3


def test_words_have_a_cache(tmp_path):
    config = parse(
        "evaluate", {**TEST, "method": "prototype", "guidance": "word", "clip_cache": 64}
    )
    experiment = Experiment(config, tmp_path)
    first = experiment.evaluate()
    cache = experiment.method.words.cache
    passes = cache.passes
    assert experiment.evaluate()["miou"] == first["miou"]
    assert (cache.passes, cache.hits) == (passes, passes)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"method": "lfss", "settings": "dps=maybe"}, "dps"),
        ({"method": "lfss", "settings": "depth=3"}, "depth"),
        ({"method": "lfss", "settings": "ccm"}, "'ccm'; expected changes as name=value"),
        ({"method": "pfenet", "words": "scenes background=some"}, "background"),
        ({"method": "lfss", "prior": "pi_clip"}, "reads no prior"),
        ({"method": "hsnet", "guidance": "text"}, "guidance"),
    ],
)
def test_wrong_settings_are_named(chosen, message):
    with pytest.raises(ConfigError, match=message):
        parse("train", {**TRAIN, **chosen})


def test_methods_without_a_mask_cannot_be_guided():
    for method in ("all_foreground", "clip_prior"):
        with pytest.raises(ConfigError, match="reads no support mask"):
            parse("evaluate", {**TEST, "method": method, "guidance": "word"})
    with pytest.raises(ConfigError, match="'prototype' has none"):
        parse("evaluate", {**TEST, "method": "prototype", "settings": "dim=3"})


def test_seeds_make_equal_weights_with_and_without_a_word(tmp_path):
    heads = []
    for name, guidance in (("a", "mask"), ("b", "word"), ("c", "word")):
        chosen = {**TRAIN, "method": "asgnet", "guidance": guidance}
        heads.append(Experiment(parse("train", chosen), tmp_path / name).method.head_state())
    for other in heads[1:]:
        assert heads[0].keys() == other.keys()
        assert all(torch.equal(heads[0][key], other[key]) for key in other)


@pytest.mark.parametrize(
    ("variant", "guided_by"), [("text", "word"), ("global_image", "image"), ("prototype", "mask")]
)
def test_results_say_what_guides_a_variant_of_clip_dinoiser(variant, guided_by):
    chosen = {"method": "clip_dinoiser", "settings": f"variant={variant}"}
    config = parse("evaluate", chosen)
    assert (config.guided_by, config.label) == (guided_by, f"clip_dinoiser+{variant}")
    assert "words" not in config.part_types
    if guided_by != "mask":
        with pytest.raises(ConfigError, match="reads no support mask"):
            parse("evaluate", {**chosen, "guidance": "word"})
