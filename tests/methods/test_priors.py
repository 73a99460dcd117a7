"""Priors plug in: every source on every decoder, alone and combined, and what is not read."""

import pytest
import torch
from stand_ins import random_episodes, tiny_backbone
from test_bam_and_hdmnet import BASE_CLASSES, learner, tiny_clip

from fsslib.config import ConfigError
from fsslib.encoders import build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.methods import METHODS, PRIORS, PriorSource, PriorSpec, build_method, parts_of
from fsslib.methods.bam import BAM
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors
from fsslib.methods.words import WordMasks

DECODERS = ("pfenet", "bam", "hdmnet", "qgnet")
WORDS = ("car", "cat", "house")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def masks() -> WordMasks:
    return WordMasks(load_clip("scenes-clip-rn"), WORDS)


def build(method: str, prior: str, masks: WordMasks | None = None, shot: int = 1):
    backbone = tiny_backbone()
    makers = {
        "base": lambda: learner(backbone, BASE_CLASSES, 16),
        "clip": lambda: ClipPriors(tiny_clip(), ClipPriorConfig.preset("scenes")),
        "words": lambda: masks,
        "extractor": lambda: tiny_backbone(1),
    }
    needed = parts_of(METHODS.get(method), PriorSpec.parse(prior))
    parts = {name: makers[name]() for name in needed if name != "backbone"}
    small = {"reduce_dim": 8, "dim": 16} if method == "hdmnet" else {"dim": 8}
    return build_method(method, backbone, "scenes", prior, shot=shot, **small, **parts)


def word_episodes(**how):
    episodes = random_episodes(**how)
    names = tuple((WORDS[i % len(WORDS)],) for i in range(len(episodes)))
    object.__setattr__(episodes, "class_names", names)
    return episodes


CHANNELS = {"none": 0, "constant": 1, "pfenet": 1, "word": 1, "region": 1, "pi_clip": 2}


@pytest.mark.parametrize("method", DECODERS)
@pytest.mark.parametrize("prior", [*CHANNELS, "pi_clip+region", "constant value=0.2+word"])
def test_every_source_plugs_into_every_decoder(method, prior, masks):
    model = build(method, prior, masks).train()
    episodes = word_episodes(batch=2, shot=1, size=65)
    prediction = model(episodes)
    names = [part.split()[0] for part in prior.split("+")]
    twice = 2 * (method == "hdmnet")  # HDMNet has the VTP twice, and the VVP of two blocks
    expected = sum(CHANNELS[name] + twice * (name == "pi_clip") for name in names)
    assert prediction.maps["prior"].shape[1] == model.channels == expected
    sum(model.loss(prediction, episodes).values()).backward()
    head = model.head_state()
    for key, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (key in head), key


def test_hdmnets_prior_needs_a_base_learner(masks):
    episodes = random_episodes(batch=1, shot=1, size=33)
    assert build("bam", "hdmnet").eval()(episodes).maps["prior"].shape[1] == 2
    with pytest.raises(ValueError, match="reads a base learner's embedding"):
        build("pfenet", "hdmnet")(episodes)


def test_own_is_what_the_source_of_that_name_says():
    """PFENet's own prior, and the same source plugged in by name."""
    torch.manual_seed(0)
    own = build("pfenet", "own").eval()
    torch.manual_seed(0)
    named = build("pfenet", "pfenet").eval()
    named.load_head_state(own.head_state())
    episodes = random_episodes(batch=2, shot=2, size=33)
    assert torch.equal(own(episodes).logits, named(episodes).logits)


@pytest.mark.parametrize(("prior", "runs"), [("own", 2), ("none", 0), ("constant", 0)])
def test_what_nobody_reads_is_not_computed(prior, runs):
    model, count = build("pfenet", prior).eval(), []
    model.backbone.layer4.register_forward_hook(lambda *_: count.append(1))
    model(random_episodes(batch=1, shot=1, size=33))
    assert len(count) == runs


class Corner(PriorSource):
    """A prior of anyone's own."""

    def __init__(self, made: int = 1):
        super().__init__()
        self.made = made

    def channels(self, shot):
        return 1

    def forward(self, episodes, features):
        maps = torch.zeros(len(features.query), self.made, *features.grid)
        maps[..., 0, 0] = 1
        features.shown["seen"] = maps
        return {"corner": maps}


def test_a_prior_of_ones_own_is_a_class_of_a_few_lines():
    model = build_method("pfenet", tiny_backbone(), "scenes", Corner(), dim=8).eval()
    maps = model(random_episodes(batch=2, shot=1, size=33)).maps
    assert maps["corner"].sum() == 2 and "seen" in maps
    with pytest.raises(ValueError, match=r"made 2 maps \{'corner': 2\}, and the decoder reads 1"):
        model = build_method("pfenet", tiny_backbone(), "scenes", Corner(2), dim=8)
        model(random_episodes(batch=2, shot=1, size=33))


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("pi_klip", "prior='pi_klip': expected one of .*did you mean 'pi_clip'"),
        ("region colour=1", "unknown parameter 'colour'"),
        ("constant value=2", "value=2.*expected 0 to 1"),
        ("constant+constant", "expected each source once"),
        ("constant value", "expected changes as name=value"),
    ],
)
def test_priors_that_cannot_be_are_refused_in_words(prior, message):
    with pytest.raises(ValueError, match=message):
        build_method("pfenet", tiny_backbone(), "scenes", prior, extractor=_extractor(prior))


def _extractor(prior: str):
    return tiny_backbone(1) if "region" in prior else None


def test_only_decoders_read_priors():
    with pytest.raises(ConfigError, match="prior='constant': method 'prototype' reads no prior"):
        build_method("prototype", tiny_backbone(), prior="constant")
    with pytest.raises(ConfigError, match=r"base is a .*; expected a BaseLearner"):
        build_method("bam", tiny_backbone(), "scenes", base=tiny_backbone())


def test_normalised_images_alone_are_enough_for_sources_that_read_features(masks):
    backbone = build_backbone("scenes-resnet", "scenes")
    episodes = random_episodes(batch=1, shot=1, size=65)
    query = backbone.preprocess(episodes.query_image)
    support = backbone.preprocess(episodes.support_images[:, 0, 0])
    model = build_method("pfenet", backbone, "scenes").eval()
    model.predict(query, support, (episodes.support_masks[:, 0] == 1).float())
    wordy = build_method("pfenet", backbone, "scenes", "word", words=masks).eval()
    with pytest.raises(ValueError, match="prior 'word' reads episodes"):
        wordy.predict(query, support, (episodes.support_masks[:, 0] == 1).float())


def test_sources_are_listed_with_what_they_are_built_of():
    for name in PRIORS.names():
        assert PRIORS.get(name).__doc__, name
    assert set(parts_of(BAM, PriorSpec.parse("pi_clip+region"))) == {
        *("backbone", "base", "clip", "extractor")
    }
