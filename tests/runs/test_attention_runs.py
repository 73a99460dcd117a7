"""CLIP's attention as a parameter of runs: grammar, identities, and who reads it."""

import json

import pytest

from fsslib.config import ConfigError
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.pass_cache import PassCache
from fsslib.evaluation.open_vocabulary import score_pictures
from fsslib.evaluation.vocabulary import Vocabulary, VocabularyConfig
from fsslib.runs.assembly import Workshop
from fsslib.runs.config import parse
from fsslib.runs.pretraining.clip_dinoiser import score_zero_shot

DINOISER = {"method": "clip_dinoiser"}


def identity(**parameters) -> str:
    return json.dumps(parse("evaluate", parameters).decisive(), sort_keys=True, default=str)


def test_what_means_the_same_has_one_identity_and_nothing_said_the_former():
    plain = identity(**DINOISER)
    assert "attention" not in plain and '["scenes-clip-vit", "scenes"]' in plain
    ways = [
        {"attention": "naclip sigma=1"},
        {"clip": "scenes-clip-vit attention='naclip sigma=1.0'"},
        {"clip": "scenes-clip-vit", "attention": "kk scores=kk+omega sigma=1"},
    ]
    same = {identity(**DINOISER, **way) for way in ways}
    assert len(same) == 1 and plain not in same
    others = ["naclip", "clip", "residual", "proxy", "proxy centred=false"]
    assert len({plain, *same, *(identity(**DINOISER, attention=one) for one in others)}) == 7
    assert identity(**DINOISER, clip="scenes-clip-vit positions=scaled") != plain


def test_a_proxy_is_one_of_the_encoders():
    """So that its file is asked for before a run, and its licence stands on the card."""
    name = "timm/vit_small_patch16_dinov3"
    config = parse("evaluate", DINOISER | {"attention": f"proxy proxy={name}"})
    assert config.encoders[-1] == (name, "timm") and len(config.encoders) == 2
    absent = parse("evaluate", DINOISER | {"attention": f"proxy proxy={name} proxy_weights=no.pth"})
    with pytest.raises(ConfigError, match=r"no\.pth.*no such file"):
        absent.require_files()
    assert len(parse("evaluate", DINOISER | {"attention": "naclip"}).encoders) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (DINOISER | {"attention": "naclipp"}, "attention: kind='naclipp'"),
        (DINOISER | {"attention": "naclip sigma=0"}, "attention: sigma=0.0"),
        ({"method": "word_mask", "attention": "naclip"}, "a ResNet's pool has 'maskclip' alone"),
        ({"method": "prototype", "attention": "naclip"}, "has none; leave it out"),
    ],
)
def test_wrong_attentions_are_named(parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse("evaluate", parameters)


def test_words_priors_and_clip_dinoiser_are_built_with_it():
    text = {"clip": "scenes-clip-vit", "attention": "kk"}
    methods = {
        "word_masks": {"method": "word_mask"},
        "clip_priors": {"method": "clip_prior"},
        "dinoiser": DINOISER,
    }
    protocol = Protocol.preset("scenes10i")
    for maker, method in methods.items():
        config = parse("evaluate", method | text)
        workshop = Workshop(config, load_benchmark(protocol), protocol, PassCache())
        encoder = getattr(workshop, maker)().encoder
        assert encoder.last.spelled == "clip scores=kk arch=reduced"


def test_clip_alone_is_scored_by_its_protocol(tmp_path):
    parameters = {"vocabulary": "scenes threshold=0.1", "attention": "naclip", "pictures": 2}
    config = parse("zero_shot", parameters | {"background": False})
    card = score_zero_shot(config, tmp_path, "cpu")
    assert json.loads((tmp_path / "zero_shot.json").read_text())["miou"] == card["miou"]
    assert "vocabulary" in card["command"] and card["attention"].startswith("clip scores=kk+omega")
    benchmark = load_benchmark(Protocol.preset("scenes10i"))
    settings = VocabularyConfig.preset("scenes", threshold=0.1)
    words = Vocabulary(load_clip(attention="naclip"), benchmark.class_names, settings)
    expected = score_pictures(words.segment, benchmark, "cpu", 2, background=False)
    assert card["miou"] == expected["miou"]
    assert card["run"].startswith("clip+zero_shot/")
    decisive = config.decisive()
    assert decisive["vocabulary"]["threshold"] == 0.1 and decisive["dinoiser"] is None
    with pytest.raises(ConfigError, match="asks CLIP alone"):
        parse("zero_shot", parameters | {"heads": "teachers"})
    assert "vocabulary" not in parse("zero_shot", {}).decisive()
