"""The leaderboard: what it reads of results and bench tables, and who is surely better."""

import json

import numpy as np
import pytest
from simulated import World

from fsslib.evaluation.episode_table import write_table
from fsslib.methods.shipped import load_shipped
from fsslib.runs import leaderboard
from fsslib.runs.leaderboard import (
    entries,
    leaderboard_table,
    pairwise,
    trained_parameters,
)
from fsslib.viz.evidence import leaderboard_figure, pairwise_figure

WHAT = {"name": "prototype", "prior": "own", "size": 97, "shot": 1, "way": 1, "batch": 8}
WHAT |= {"work": "forward", "backbone": "scenes-resnet", "clip": "scenes-clip-vit"}


def result(miou, fold=0, **changes):
    about = {
        "run": "prototype/scenes10i_f0_1shot_scenes-resnet",
        "fold": fold,
        "seed": 0,
        "miou": miou,
        "miou_interval": [miou - 0.02, miou + 0.02],
        "episodes": 100,
        "evaluation_seconds": 5.0,
        "class_names_read": False,
        "trained": False,
        "config": {"method": "prototype", "prior": "own"},
        "protocol": {"image_size": 97, "shot": 1, "way": 1, "question": "as_drawn"},
    }
    return about | changes


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A published folder with one bench table: 40 ms for eight episodes."""
    monkeypatch.setattr(leaderboard, "published_folder", lambda: tmp_path)
    row = {"what": WHAT, "milliseconds": [39.0, 40.0, 47.0], "units": 8, "peak_mib": 3.5}
    other = row | {"what": WHAT | {"work": "evaluate"}, "milliseconds": [99.0]}
    (tmp_path / "bench").mkdir()
    table = {"topic": "methods", "rows": [other, row]}
    (tmp_path / "bench" / "methods.json").write_text(json.dumps(table))
    return tmp_path


def test_seconds_are_the_benchs_where_it_has_the_very_case(bench):
    shot = result(0.4, run="x/scenes10i_f0_5shot_scenes-resnet")
    shot["protocol"] = shot["protocol"] | {"shot": 5}
    encoder = result(0.5, run="prototype/scenes10i_f0_1shot_scenes-dino")
    board = entries({"one": [result(0.3)], "five": [shot], "dino": [encoder]})
    assert [entry.row for entry in board] == ["dino", "five", "one"], "the best first"
    assert [entry.benched for entry in board] == [False, False, True]
    assert board[2].seconds == pytest.approx(0.005) and board[2].mebibytes == 3.5
    assert board[0].seconds == pytest.approx(0.05) and board[0].mebibytes is None
    lines = leaderboard_table(board).splitlines()
    assert lines[2] == "| dino | 50.0 ± 2.0 | 0.050 ° |  | 0 |  | 0 |"
    assert lines[4] == "| one | 30.0 ± 2.0 | 0.005 | 3.5 | 0 |  | 0 |"
    figure = leaderboard_figure(board, "all")
    assert sorted(text.get_text() for axis in figure.axes for text in axis.texts) == ["1", "2", "3"]
    assert len(figure.axes[0].texts) == sum(entry.benched for entry in board) < 3


def test_a_training_s_own_evaluation_has_the_bench_of_its_network(bench):
    own = result(0.3, run="prototype/scenes10i_f0_1shot_scenes-resnet_s2")
    cost = leaderboard.bench_cost(own)
    assert cost == {"seconds": pytest.approx(0.005), "mebibytes": 3.5, "batch": 8}
    other = result(0.3, run="prototype/scenes10i_f0_1shot_scenes-single_s2")
    assert leaderboard.bench_cost(other) is None


def test_rows_that_lack_a_fold_are_left_out_of_a_board_of_folds(bench):
    rows = {"both": [result(0.3), result(0.5, fold=1)], "first": [result(0.4)]}
    assert [entry.row for entry in entries(rows, (0, 1))] == ["both"]
    assert [entry.miou for entry in entries(rows, (0,))] == pytest.approx([40, 30])


def test_trained_parameters_are_those_of_the_head():
    head = load_shipped(0)
    learned = sum(p.numel() for n, p in head.named_parameters() if not n.startswith("backbone"))
    weights = {"methods/weights/pfenet-scenes10i-f0.safetensors": "", "encoders/x.safetensors": ""}
    record = {"provenance": {"weights": weights}}
    assert trained_parameters({"trained": True, **record}) == learned
    assert trained_parameters({"trained": False, **record}) == 0
    assert trained_parameters({"trained": True}) == 0


def test_pairs_are_told_apart_only_where_their_episodes_say_so(tmp_path):
    rows = {}
    for gain, name in ((2.0, "better"), (0.0, "same")):
        plain, other = World(5, better=gain, seed=1).lists(np.random.default_rng(0), 200)
        for table, row in ((plain, "plain"), (other, name)):
            path = tmp_path / f"{row}.json"
            write_table(table, tmp_path / f"{row}.episodes.csv.gz")
            rows[row] = [result(0.3, file=path)]
    rows["bare"] = [result(0.3, file=tmp_path / "bare.json")]
    pairs = pairwise(rows, ["better", "plain", "same", "bare"])
    assert pairs.probability[0, 1] > 0.999 and pairs.significant[0, 1] and pairs.significant[1, 0]
    assert pairs.probability[1, 0] == pytest.approx(1 - pairs.probability[0, 1])
    assert not pairs.significant[1, 2] and 0.01 < pairs.probability[1, 2] < 0.99
    assert np.isnan(pairs.probability[3]).all() and np.isnan(np.diag(pairs.probability)).all()
    assert len(pairwise_figure(pairs, "all").axes[0].texts) == 6
