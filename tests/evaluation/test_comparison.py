"""Paired differences: known ones are covered, equal runs differ by nothing, lists must agree."""

from dataclasses import replace

import numpy as np
import pytest
from simulated import World

from fsslib.evaluation import compare, holm
from fsslib.evaluation.episode_table import EpisodeTable


def lists(seed=0, episodes=60, classes=5, methods=2, better=0.3):
    return World(classes, better).lists(np.random.default_rng(seed), episodes, methods)


def test_a_known_difference_is_covered():
    world, rng, draws = World(5), np.random.default_rng(3), 120
    truth = compare(*reversed(world.truth(episodes=40_000)))
    hits = np.zeros((draws, 2))
    for number in range(draws):
        result = compare(*reversed(world.lists(rng, 100)))
        for place, score in enumerate(("miou", "fb_iou")):
            low, high = getattr(result, score).interval
            hits[number, place] = low <= getattr(truth, score).difference <= high
    assert (hits.mean(0) > 0.89).all() and (hits.mean(0) <= 1).all(), hits.mean(0)


def test_identical_runs_differ_by_exactly_nothing():
    (table,) = lists(methods=1)
    result = compare(table, replace(table))
    for score in (result.miou, result.fb_iou):
        assert score.difference == 0 and score.interval == (0, 0)
        assert score.probability == 0.5 and score.p_value == 1
    assert result.pictures_won == 0.5


def test_exchanged_runs_give_the_opposite():
    worse, better = lists()
    one, other = compare(better, worse), compare(worse, better)
    assert one.miou.difference == -other.miou.difference > 0
    assert one.miou.interval == pytest.approx([-x for x in reversed(other.miou.interval)])
    assert one.miou.probability == pytest.approx(1 - other.miou.probability)
    assert one.pictures_won == pytest.approx(1 - other.pictures_won)
    assert one.miou.a - one.miou.b == pytest.approx(one.miou.difference)


def test_pairs_tell_more_than_single_runs():
    """What both share cancels: the difference's interval is narrower than that of either."""
    worse, better = lists(episodes=200)
    low, high = compare(better, worse).miou.interval
    blank = replace(better, areas=better.areas * [[[0, 1, 1]]])
    alone = compare(better, blank).miou.interval
    assert high - low < 0.6 * (alone[1] - alone[0])


def test_episodes_of_one_picture_count_together():
    a, b = lists(episodes=200)
    apart = tuple(f"q{number}" for number in range(200))
    widths = []
    for queries in (a.queries, apart):
        low, high = compare(replace(b, queries=queries), replace(a, queries=queries)).miou.interval
        widths.append(high - low)
    assert compare(a, b).pictures == 100 and widths[0] != widths[1]


def test_folds_are_fixed_and_seeds_told_apart():
    runs = {(fold, seed): lists(fold) for fold in (0, 2) for seed in (0, 1, 2)}
    b = {key: pair[0] for key, pair in runs.items()}
    a = {key: pair[1] for key, pair in runs.items()}
    result = compare(a, b)
    assert result.folds == (0, 2) and result.seeds == (0, 1, 2)
    each = [compare(lists(fold)[1], lists(fold)[0]).miou for fold in (0, 2)]
    assert result.miou.difference == pytest.approx(np.mean([one.difference for one in each]))
    assert result.miou.seeds_interval == pytest.approx([result.miou.difference] * 2)
    some = {key: table for key, table in a.items() if key[1] < 2}
    few = compare(some, {key: b[key] for key in some})
    assert few.miou.seeds_interval is None, "two seeds say nothing of their spread"
    assert few.miou.interval == pytest.approx(result.miou.interval), "equal seeds add no pictures"
    spread = {(f, s): lists(f, methods=3)[1 + (s == 2)] for f, s in a}
    low, high = compare(spread, b).miou.seeds_interval
    assert low < compare(spread, b).miou.difference < high


def test_one_seed_stands_beside_several():
    reference, trained = lists()
    result = compare({(0, s): trained for s in range(3)}, {(0, 0): reference})
    assert result.seeds == (0, 1, 2) and result.miou.seeds_interval is not None
    with pytest.raises(ValueError, match=r"fold 0: seeds \[0, 1\] beside \[0, 2\]"):
        compare(*({(0, s): reference for s in seeds} for seeds in ((0, 1), (0, 2))))


def test_other_lists_are_refused_in_one_sentence():
    a, b = lists()
    fix = "; a paired difference needs both evaluated on one protocol"
    queries = (*b.queries[:-1], "p99")
    with pytest.raises(ValueError, match=f"differ: query of episode 59{fix}"):
        compare(a, replace(b, queries=queries))
    with pytest.raises(ValueError, match=f"differ: class of episode 0{fix}"):
        compare(a, replace(b, classes=b.classes + 1))
    other = replace(b, supports=((("t",),), *b.supports[1:]))
    with pytest.raises(ValueError, match="differ: supports of episode 0"):
        compare(a, other)
    assert compare(a, other, same_supports=False) == compare(a, b)
    with pytest.raises(ValueError, match="60 of 1 classes and 40 of 1 classes"):
        compare(a, lists(episodes=40)[0])
    with pytest.raises(ValueError, match=r"folds \[0\] beside \[1\]"):
        compare({(0, 0): a}, {(1, 0): b})
    with pytest.raises(ValueError, match="no run to compare"):
        compare({}, {})


def test_one_picture_says_nothing_of_others():
    a, b = (replace(t, queries=("p",) * 60) for t in lists())
    result = compare(b, a).miou
    assert result.interval == (-1, 1) and result.probability == 0.5 and result.p_value == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1, 1] and holm([]) == []


def test_absent_objects_and_several_classes():
    """An episode whose query holds none of its classes counts what is wrongly called by their
    name; one where nothing is called so counts nothing."""
    areas = np.array([[(50, 60, 60), (0, 10, 0), (0, 4, 0), (0, 6, 0)]] * 4, np.int64)
    right = np.array([[(60, 60, 60), (0, 0, 0), (0, 0, 0), (0, 0, 0)]] * 4, np.int64)
    about = (tuple("abcd"), ((("s",), ("t",)),) * 4, np.array([[3, 7]] * 4))
    result = compare(EpisodeTable(*about, right), EpisodeTable(*about, areas))
    assert result.pictures_won == 1 and result.fb_iou.difference > 0
