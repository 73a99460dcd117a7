"""What is published is consistent with itself, with the package, and with what its page says."""

import shlex

import pytest
import torch
import yaml

from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import list_hash, test_episodes
from fsslib.evaluation.evaluator import evaluate
from fsslib.files import read_json
from fsslib.methods.shipped import FOLDER, load_shipped, shipped_card
from fsslib.runs.config import parse, parse_card
from fsslib.runs.results import mean_and_half, published, published_folder, table

RESULTS = published()


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: r["folder"].name)
def test_scores_follow_from_the_counts_and_the_protocol(result):
    ious = [row["intersection"] / row["union"] for row in result["per_class"].values()]
    assert result["miou"] == pytest.approx(sum(ious) / len(ious))
    assert result["miou_interval"][0] < result["miou"] < result["miou_interval"][1]
    protocol = Protocol(**result["protocol"])
    assert protocol.hash == result["protocol_hash"]
    episodes = test_episodes(load_benchmark(protocol), protocol)
    assert list_hash(episodes) == result["episode_list"]
    assert len(episodes) == result["episodes"] == 1000


@pytest.mark.parametrize("fold", range(4))
def test_pfenet_beats_every_baseline_beyond_the_intervals(fold):
    (ours,) = published("pfenet", fold)
    for name in ("all_foreground", "prior_threshold", "prototype"):
        (baseline,) = published(name, fold)
        assert baseline["episode_list"] == ours["episode_list"], "scored on the same episodes"
        assert ours["miou_interval"][0] > baseline["miou_interval"][1], name


def test_the_page_shows_the_published_numbers():
    text = (published_folder() / "README.md").read_text()
    for result in RESULTS:
        low, high = result["miou_interval"]
        cell = f"{100 * result['miou']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        assert cell in text, f"{result['folder'].name}: {cell}"
    for method in {result["method"] for result in RESULTS}:
        of_method = [r | {"fold": r["protocol"]["fold"]} for r in RESULTS if r["method"] == method]
        mean, half = mean_and_half(of_method, "fb_iou")
        assert f"{mean:.1f} ± {half:.1f} |" in text, f"{method}: mean FB-IoU"
    row = table(RESULTS[:1], ["one"]).splitlines()[2]
    assert f"{100 * RESULTS[0]['miou']:.1f}" in row


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_commands_of_shipped_heads_make_them_again(path):
    """Each card's command has the parameters that its head was trained with."""
    card = read_json(path)
    words = shlex.split(card["command"])
    assert words[:4] == ["python", "-m", "fsslib.runs", "run"]
    pairs = [word.partition("=") for word in words[5:] if word != "-p"]
    config = parse(words[4], {name: yaml.safe_load(value) for name, _, value in pairs})
    if "config" not in card:
        assert card["training"]["steps"] == parse(words[4], {}).training.steps
        return
    assert config.decisive() == parse_card(words[4], card["config"]).decisive()


@pytest.mark.parametrize("fold", range(4))
def test_shipped_heads_are_the_published_ones(fold):
    (result,) = published("pfenet", fold)
    assert shipped_card(fold)["protocol_hash"] == result["protocol_hash"]
    protocol = Protocol(**result["protocol"])
    benchmark = load_benchmark(protocol)
    # A hundred of the thousand episodes, ten of each class: the published score is within reach.
    specs = test_episodes(benchmark, protocol)[:100]
    with torch.inference_mode():
        scores = evaluate(load_shipped(fold), benchmark, protocol, specs)
    low, high = scores.meter.interval("miou", level=0.999)
    assert low < result["miou"] < high
