"""Scores at every resolution, fit and border rule, against predictions known pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins import random_episodes
from toy import ToyBenchmark

from fsslib.data.loading import EpisodeReader
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import test_episodes
from fsslib.data.transforms import padded_size
from fsslib.evaluation.evaluator import compare_at, evaluate
from fsslib.methods.base import FewShotSegmenter, Prediction


class Memory(FewShotSegmenter):
    """Says foreground left of a fixed column of its square input."""

    trainable = False

    def forward(self, episodes):
        size = episodes.query_image.shape[-1]
        score = torch.where(torch.arange(size) < size // 3, 1.0, -1.0).expand(size, size)
        score = score.expand(len(episodes), size, size)
        return Prediction(torch.stack([-score, score], 1), {"left": score[:, None]})


def benchmark() -> ToyBenchmark:
    label = np.zeros((60, 90), np.uint8)
    label[:, :40], label[:, 40:44] = 1, 255
    return ToyBenchmark([label] * 4)


def protocol(**changes) -> Protocol:
    small = {"image_size": 49, "minimum_object_pixels": 1, "episodes": 3}
    return Protocol.preset("pascal5i", scarce_classes="skip", **{**small, **changes})


def brute_force(chosen: Protocol) -> float:
    """The score again, in the plainest way."""
    label = torch.from_numpy(benchmark().labels[0]).clone()
    score = torch.where(torch.arange(49) < 16, 1.0, -1.0).expand(1, 1, 49, 49)
    if chosen.border == "background":
        label[label == 255] = 0
    if chosen.resolution == "original":
        side = (60, 90) if chosen.fit == "stretch" else (90, 90)
        full = F.interpolate(score, side, mode="bilinear", align_corners=True)
        prediction = full[0, 0, :60, :90] > 0
    else:
        height, width = (49, 49) if chosen.fit == "stretch" else padded_size(60, 90, 49)
        label = F.interpolate(label[None, None].float(), (height, width))[0, 0]
        prediction = score[0, 0, :height, :width] > 0
    valid = label != 255
    hit = (prediction & (label == 1) & valid).sum()
    return float(hit / ((prediction | (label == 1)) & valid).sum())


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("resolution", ["original", "resized"])
@pytest.mark.parametrize("border", ["ignore", "background"])
def test_every_switch_of_the_protocol(fit, resolution, border):
    chosen = protocol(fit=fit, resolution=resolution, border=border)
    specs = test_episodes(benchmark(), chosen)
    scores = evaluate(Memory(), benchmark(), chosen, specs, batch_size=2)
    assert scores.meter.miou() == pytest.approx(brute_force(chosen), abs=1e-6)
    assert len(scores.meter) == 3


def test_ones_own_pictures_are_scored_where_their_pixels_are():
    """What padding added is cut off before the way back; for the papers' benchmarks it is not."""
    label = np.zeros((60, 90), np.uint8)
    label[:, :45] = 1
    episode = replace(random_episodes(1, 1, 49), original_mask=(torch.from_numpy(label),))
    inside = padded_size(60, 90, 49)  # 32 x 48 of 49 x 49
    score = torch.where(torch.arange(49) < inside[1] // 2, 1.0, -1.0).expand(49, 49).clone()
    score[inside[0] :] = -1.0
    predictions = {}
    for benchmark in ("folder", "pascal5i"):
        chosen = Protocol(benchmark, image_size=49, minimum_object_pixels=1)
        predictions[benchmark] = compare_at(torch.stack([-score, score]), episode, 0, chosen)[0]
    assert torch.equal(predictions["folder"], torch.from_numpy(label))
    assert predictions["pascal5i"][-1, 0] == 0, "the canvas below the picture shows"


def test_results_hold_what_is_needed_to_compute_them_again():
    chosen = protocol()
    progress = []
    specs = test_episodes(benchmark(), chosen)
    scores = evaluate(
        Memory(), benchmark(), chosen, specs, batch_size=2, report=lambda *p: progress.append(p)
    )
    assert progress == [(2, 3), (3, 3)]
    results = scores.to_dict()
    (row,) = results["per_class"].values()
    assert results["miou"] == row["intersection"] / row["union"] == row["iou"]
    assert results["episodes"] == 3 and results["classes_seen"] == 1
    assert row["accuracy"] == row["intersection"] / row["target"]
    assert results["pixel_accuracy"] == scores.meter.pixel_accuracy()
    assert results["mean_accuracy"] == scores.meter.mean_accuracy()
    assert results["miou_interval"][0] <= results["miou"] <= results["miou_interval"][1]


def test_evaluation_leaves_the_method_in_its_mode():
    method = Memory().train()
    chosen = protocol()
    evaluate(method, benchmark(), chosen, test_episodes(benchmark(), chosen))
    assert method.training


def test_evaluation_leaves_the_method_in_its_mode_after_an_error():
    class Broken(Memory):
        def forward(self, episodes):
            raise ValueError("broken")

    method, chosen = Broken().train(), protocol()
    with pytest.raises(ValueError, match="broken"):
        evaluate(method, benchmark(), chosen, test_episodes(benchmark(), chosen))
    assert method.training


def test_every_episode_keeps_its_query_picture():
    chosen = protocol()
    specs = test_episodes(benchmark(), chosen)
    meter = evaluate(Memory(), benchmark(), chosen, specs, batch_size=2).meter
    assert [meter.queries[n] for n in range(3)] == [f"val/{spec.query}" for spec in specs]


def test_maps_are_scored_on_what_the_network_saw():
    """Of an object on the left 40 of 86 counted columns, the map has the left third of 90 right."""
    chosen = protocol(fit="stretch")
    specs = test_episodes(benchmark(), chosen)
    facts = evaluate(Memory(), benchmark(), chosen, specs, maps=["left"]).to_dict()["maps"]["left"]
    mask = EpisodeReader(benchmark(), chosen).read(specs[0]).query_mask
    columns = torch.arange(49) < 16
    recall = columns[(mask == 1).any(0)].float().mean().item()
    assert facts["pictures"] == 3 and facts["recall"] == pytest.approx([recall] * 9, abs=1e-4)
    assert facts["precision"] == [1.0] * 9 and facts["dark_on_objects"] == 0
    assert facts["auroc"] == pytest.approx(recall + (1 - recall) / 2, abs=1e-4)
