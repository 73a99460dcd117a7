"""The meter: scores of any predictions, beside their definitions."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fsslib.evaluation.meter import Meter

SHAPE = (5, 6)


def maps(values):
    return arrays.arrays(np.uint8, SHAPE, elements=st.sampled_from(values))


EPISODES = st.lists(
    st.tuples(maps([0, 1]), maps([0, 1, 255]), st.integers(1, 4), st.sampled_from("abc")),
    min_size=1,
    max_size=6,
)


def metered(episodes):
    meter = Meter()
    for prediction, target, class_id, query in episodes:
        meter.add(torch.from_numpy(prediction), torch.from_numpy(target), [class_id], query)
    return meter


def mean_iou(episodes):
    """Accumulated over each class's episodes; a class without a union is none."""
    sums = {}
    for prediction, target, class_id, _ in episodes:
        counted = target != 255
        hit = ((prediction == 1) & (target == 1) & counted).sum()
        union = (((prediction == 1) | (target == 1)) & counted).sum()
        before = sums.get(class_id, (0, 0))
        sums[class_id] = (before[0] + hit, before[1] + union)
    ious = [hit / union for hit, union in sums.values() if union]
    return float(np.mean(ious)) if ious else 0.0


@given(EPISODES)
def test_miou_is_the_mean_of_accumulated_ious(episodes):
    assert np.isclose(metered(episodes).miou(), mean_iou(episodes))


@given(EPISODES)
def test_scores_and_intervals_lie_within_their_bounds(episodes):
    meter = metered(episodes)
    for score in ("miou", "fb_iou"):
        low, high = meter.interval(score)
        assert 0 <= low <= high <= 1
    for value in (meter.miou(), meter.fb_iou(), meter.mean_accuracy(), meter.pixel_accuracy()):
        assert 0 <= value <= 1
    assert ((meter.per_episode() >= 0) & (meter.per_episode() <= 1)).all()


@given(EPISODES, st.randoms(use_true_random=False))
def test_the_order_of_episodes_decides_nothing(episodes, random):
    shuffled = random.sample(episodes, len(episodes))
    one, other = metered(episodes), metered(shuffled)
    assert one.miou() == other.miou() and one.fb_iou() == other.fb_iou()
    assert one.per_class() == other.per_class()
    np.testing.assert_allclose(one.interval("miou"), other.interval("miou"), atol=1e-9)


@given(EPISODES, maps([0, 1]))
def test_what_is_ignored_counts_nothing(episodes, other):
    changed = [
        (np.where(target == 255, other, prediction).astype(np.uint8), target, class_id, query)
        for prediction, target, class_id, query in episodes
    ]
    assert metered(episodes).per_class() == metered(changed).per_class()


@given(EPISODES)
def test_a_perfect_prediction_scores_one_where_there_is_anything(episodes):
    perfect = [((t == 1).astype(np.uint8), t, c, q) for _, t, c, q in episodes]
    shown = any((target == 1).any() for _, target, _, _ in episodes)
    assert metered(perfect).miou() == (1.0 if shown else 0.0)
    assert metered(perfect).pixel_accuracy() in (0.0, 1.0)


@given(maps([0, 1, 2]), maps([0, 1, 2, 255]))
def test_two_classes_count_as_each_by_itself(prediction, target):
    both = Meter()
    both.add(torch.from_numpy(prediction), torch.from_numpy(target), [3, 8], "a")
    for place, class_id in enumerate((3, 8), 1):
        alone = Meter()
        seen = np.where(target == 255, 255, target == place).astype(np.uint8)
        predicted = (prediction == place).astype(np.uint8)
        alone.add(torch.from_numpy(predicted), torch.from_numpy(seen), [class_id], "a")
        assert both.per_class()[class_id] == alone.per_class()[class_id]
