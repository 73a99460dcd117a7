"""A lesson's scores are those of the package's evaluation and comparison."""

import numpy as np
import pytest
import torch
from stand_ins import random_episodes

from fsslib.evaluation.meter import Meter
from fsslib.runs.study_tables import study_results
from fsslib.viz.scores import (
    correlation,
    gain,
    gain_text,
    metered,
    published_gain,
    published_gain_by_fold,
    published_gain_text,
    score_table,
    score_text,
)


@pytest.fixture
def episodes():
    return random_episodes(batch=6, shot=1, size=21, way=1)


def right_for(episodes):
    """The ground truth; background where it is not scored."""
    return episodes.query_mask * (episodes.query_mask != 255)


def turned(episodes):
    return right_for(episodes).flip(1)


def test_answers_are_counted_as_one_by_one(episodes):
    meter, by_hand = metered(turned(episodes), episodes), Meter()
    for number, labels in enumerate(turned(episodes)):
        by_hand.add(labels, episodes.query_mask[number], episodes.class_ids[number].tolist())
    assert np.array_equal(np.stack(meter.counts), np.stack(by_hand.counts))
    assert meter.queries == {number: ids[0] for number, ids in enumerate(episodes.ids)}
    with pytest.raises(ValueError, match="is longer"):
        metered(right_for(episodes)[:4], episodes)


def test_a_gain_is_paired(episodes):
    right, other = (metered(m, episodes) for m in (right_for(episodes), turned(episodes)))
    difference, low, high = gain(right, other)
    assert difference == pytest.approx(100 * (right.miou() - other.miou()))
    assert low < difference < high
    assert gain(other, right) == pytest.approx([-difference, -high, -low])
    assert gain(right, right).tolist() == [0, 0, 0]
    fewer = right.part(range(4))
    with pytest.raises(ValueError, match="differ in size"):
        gain(right, fewer)


def test_episodes_without_a_query_are_pictures_of_their_own(episodes):
    right, other = (metered(m, episodes) for m in (right_for(episodes), turned(episodes)))
    known = gain(right, other)
    for meter in (right, other):
        meter.queries = {}
    assert gain(right, other) == pytest.approx(known)  # as here no query comes twice


def test_a_gain_of_published_rows_is_that_of_the_study():
    rows = ("clip_gfsam_maps", "clip_prototype", "clip_gfsam_maps_5shot")
    published = study_results("frontier", rows)
    maps, prototype, five = (published[row] for row in rows)
    difference, low, high = published_gain(maps, prototype)
    assert low < difference < high
    assert published_gain(prototype, maps) == pytest.approx([-difference, -high, -low])
    assert published_gain(five, maps)[0] > 0  # other supports, the same queries
    text = f"{gain_text(published_gain(maps, prototype))} points (four folds), "
    assert published_gain_text(maps, prototype) == text + "distinguishable from zero"
    own = published_gain_text(maps[:2], maps)
    assert own == "+0.0 [0.0, 0.0] points (folds 0 and 1), not distinguishable from zero"
    parts = published_gain_by_fold(maps, prototype).split("; ")
    first = gain_text(published_gain(maps[:1], prototype[:1]))
    assert len(parts) == 4 and parts[0] == f"fold {maps[0]['fold']} {first}"


def test_the_table_shows_scores_and_differences_to_one_row(episodes):
    meters = {"right": metered(right_for(episodes), episodes)}
    meters["turned"] = metered(turned(episodes), episodes)
    lines = score_table(meters, "right", "Two").text.splitlines()
    assert lines[0] == "**Two**" and "minus “right” [95 %]" in lines[2]
    assert lines[4] == "| right | 100.0 [100.0, 100.0] |  |"
    assert gain_text(gain(meters["turned"], meters["right"])) in lines[5]
    assert score_text(meters["turned"]) in lines[5]
    assert gain_text(np.array([1.24, -0.31, -0.04])) == "+1.2 [−0.3, 0.0]"


def test_a_correlation_sees_no_scale():
    one = torch.arange(6.0).view(2, 3)
    assert correlation(one, 5 + 0.001 * one) == pytest.approx(1, abs=1e-3)
    assert correlation(one, -one) == pytest.approx(-1)
