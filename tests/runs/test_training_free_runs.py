"""Training-free methods as runs: their encoder, presets, marks and what is refused."""

import json

import pytest

from fsslib.config import ConfigError
from fsslib.methods import METHODS
from fsslib.runs.config import command_of, parse, run_id
from fsslib.runs.runner import run

FREE = ("fssdino", "gfsam", "gfsam_maps", "grid_prototype", "insid3", "matcher", "persam")


def config(**parameters):
    return parse("evaluate", parameters)


@pytest.mark.parametrize("name", FREE)
def test_the_embedded_clip_is_the_default_encoder(name):
    made = config(method=name)
    assert made.encoders == [("scenes-clip-vit", "scenes")]
    assert made.run_name == f"{name}/scenes10i_f0_1shot_scenes-clip-vit"
    assert not METHODS.get(name).trainable


def test_presets_follow_the_encoder():
    assert config(method="insid3").preset == "scenes"
    released = config(method="insid3", encoder="timm/vit_large_patch16_dinov3 weights=random")
    assert released.preset == "official" and released.method_settings.components == 500
    assert config(method="insid3 preset=paper").method_settings.blank == "noise"


def test_what_is_read_of_an_encoder_is_part_of_the_identity():
    texts = ("", " facet=tokens", " facet=tokens block=-2", " facet=tokens norm=false")
    encoders = [f"scenes-clip-vit{text}" for text in texts] + ["scenes-dino", "scenes-resnet"]
    ids = {run_id(config(method="gfsam_maps", encoder=text)) for text in encoders}
    assert len(ids) == len(encoders)
    makers = {run_id(config(method="gfsam", masks=text)) for text in ("superpixels", "clusters")}
    assert len(makers) == 2
    assert run_id(config(method="gfsam")) in makers  # clusters, where there is no SAM
    assert "masks=superpixels" in command_of(config(method="gfsam", masks="superpixels"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "insid3", "encoder": "nothing"}, "expected an encoder's name first"),
        ({"method": "prototype", "encoder": "scenes-dino"}, "reads none.*backbone="),
        ({"method": "gfsam_maps", "masks": "superpixels"}, "masks='superpixels'.*reads none"),
        ({"method": "gfsam", "masks": "circles"}, "masks='circles': expected one of"),
        ({"method": "insid3", "head": "shipped"}, "has no head"),
    ],
)
def test_what_nobody_would_read_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        config(**parameters)


@pytest.mark.slow
@pytest.mark.parametrize("way", [1, 2])
def test_a_run_carries_the_mark_of_what_its_encoder_has_seen(tmp_path, way):
    parameters = {"method": "insid3", "way": way, "episodes": 3, "workers": 0}
    folder = run("evaluate", parameters, tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    assert results["episodes"] == 3 and results["trained"] is False
    assert "all 40 names in captions" in results["encoders_have_seen"]["scenes-clip-vit"]
    assert results["licences"] == {"scenes-clip-vit": "MIT"}
    assert results["n_way"] == ("OneVersusRest" if way > 1 else None)
