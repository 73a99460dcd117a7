"""What is one's own: a method and a prior of a file, a folder of pictures, a list of episodes."""

import json

import pytest
import trees

from fsslib.data.episode_files import write_episode_file
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.results import read_results, table
from fsslib.runs.runner import run

OWN = """
from dataclasses import dataclass

from torch import nn

from fsslib.layers.losses import segmentation_loss
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods import Prediction, PriorSource
from fsslib.methods.features import reduction
from fsslib.methods.prior_guided import PriorGuided
from fsslib.settings import Count, Settings


class Brightness(PriorSource):
    def channels(self, shot):
        return 1

    def forward(self, episodes, features):
        bright = features.query.mean(1, keepdim=True)
        return {"brightness": resize(bright, features.grid)}


@dataclass(frozen=True)
class SmallConfig(Settings):
    width: Count = 8


class Small(PriorGuided):
    config_class = SmallConfig

    def __init__(self, backbone, config=None, prior=None):
        super().__init__(backbone, prior, shot=1)
        self.config = config or SmallConfig()
        self.reduce = reduction(backbone, self.config.width)
        self.decide = nn.Conv2d(2 * self.config.width + self.channels, 2, 1)
        self.plug_in(prior)

    def own_prior(self):
        return Brightness()

    def decode(self, features, maps, class_ids, episodes):
        import torch

        query = self.reduce(features.query_middle)
        pooled = masked_average(self.reduce(features.support_middle), features.soft_masks)
        prior, named = self.prior_maps(features, maps, episodes)
        scores = self.decide(torch.cat([query, pooled.expand_as(query), prior], 1))
        return Prediction(resize(scores, features.query.shape[-2:]), named)

    def loss(self, prediction, episodes):
        return {"main": segmentation_loss(prediction.logits, episodes.query_mask)}
"""
TEST = {"weights": "random", "image_size": 33, "episodes": 4, "workers": 0}
TRAIN = {**TEST, "steps": 2, "train_batch_size": 2}


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", ["own:Small", "own.py:Small"])
def test_a_method_and_a_prior_of_a_file_train_and_stand_in_the_table(own, method):
    parameters = {**TRAIN, "method": f"{method} width=4", "prior": "constant+own.py:Brightness"}
    folder = run("train", parameters, own / "runs" / "one")
    results = json.loads((folder / "results.json").read_text())
    assert results["run"].startswith("Small+constant+Brightness/scenes10i_f0_1shot")
    assert "Small+constant+Brightness" in table(read_results(own / "runs"))
    assert str(own) not in (folder / "results.json").read_text()
    tested = {**TEST, **{k: parameters[k] for k in ("method", "prior")}}
    again = run("evaluate", tested | {"head": str(folder / "head.safetensors")}, own / "again")
    assert json.loads((again / "results.json").read_text())["miou"] == results["miou"]


def test_another_source_is_another_run(own):
    before = parse("train", {"method": "own.py:Small"}).decisive()
    (own / "own.py").write_text(OWN.replace("width: Count = 8", "width: Count = 9"))
    assert parse("train", {"method": "own.py:Small"}).decisive() != before


def test_a_folder_with_base_classes_is_trained_on(tmp_path):
    root = trees.write_folder(tmp_path / "mine", ("bird", "cat", "mug", "sofa"))
    parameters = {**TRAIN, "benchmark": "folder", "root": str(root), "method": "pfenet"}
    parameters["settings"] = "dim=8"
    (root / "classes.yaml").write_text("base: [cat, mug]\n")
    config = parse("train", {**parameters, "validate_every": 1})
    experiment = Experiment(config, tmp_path / "run")
    assert experiment.train()["selected_step"] == 2
    assert set(experiment.evaluate()["per_class"]) == {"bird", "sofa"}
    (root / "classes.yaml").write_text("base: [cat, sofa]\n")
    assert parse("train", parameters).decisive() != config.decisive()


def test_a_published_list_of_episodes_is_evaluated(tmp_path):
    parameters = {**TEST, "method": "prototype"}
    experiment = Experiment(parse("evaluate", parameters), tmp_path / "drawn")
    drawn = experiment.evaluate()
    path = tmp_path / "list.json"
    write_episode_file(path, experiment.benchmark, experiment.protocol, experiment.specs)
    listed = parse("evaluate", {**parameters, "episodes_file": str(path)})
    results = Experiment(listed, tmp_path / "listed").evaluate()
    assert results["episode_list"] == drawn["episode_list"]
    assert results["miou"] == drawn["miou"]
    assert results["config"]["episodes_file"] == "list.json"
    assert listed.decisive() != parse("evaluate", parameters).decisive()
