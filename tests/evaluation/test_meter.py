"""The meter against hand-made numbers, brute force, and its own promises."""

import numpy as np
import pytest
import torch

from fsslib.evaluation.meter import Meter, count


def labels(*rows: str) -> torch.Tensor:
    """Label maps written as digits, x for 255."""
    values = [[255 if cell == "x" else int(cell) for cell in row] for row in rows]
    return torch.tensor(values, dtype=torch.uint8)


def test_a_case_counted_by_hand():
    prediction, target = labels("1100", "1000"), labels("1110", "0x00")
    # foreground: 2 hits of 4; background: 3 hits of 5; one pixel is left out
    assert count(prediction, target, way=1).tolist() == [[3, 5], [2, 4], [2, 4]]
    meter = Meter()
    meter.add(prediction, target, (7,))
    assert meter.miou() == 0.5 and meter.fb_iou() == pytest.approx((0.5 + 0.6) / 2)
    assert meter.per_class() == {7: {"intersection": 2, "union": 4, "target": 3, "episodes": 1}}


def test_two_way_counts_by_class_and_merges_the_foreground():
    prediction, target = labels("1122"), labels("1212")
    assert count(prediction, target, way=2).tolist() == [[0, 0], [4, 4], [1, 3], [1, 3]]
    meter = Meter()
    meter.add(prediction, target, (5, 9))
    assert meter.miou() == pytest.approx(1 / 3) and meter.class_ids() == [5, 9]


def test_accumulated_is_not_the_mean_of_episodes():
    meter = Meter()
    meter.add(labels("1111"), labels("1111"), (1,))
    meter.add(labels("1000"), labels("0001"), (1,))
    assert meter.miou() == pytest.approx(4 / 6)
    assert meter.per_episode().tolist() == [1.0, 0.0]


def test_classes_without_an_episode_count_nothing_only_if_asked():
    meter = Meter()
    meter.add(labels("1100"), labels("1110"), (3,))
    meter.add(labels("1100"), labels("1100"), (7,))
    assert meter.miou() == pytest.approx((2 / 3 + 1) / 2)
    assert meter.miou(classes=5) == pytest.approx((2 / 3 + 1) / 5), "as the official code"
    with pytest.raises(ValueError, match="classes=1: 2 have been seen"):
        meter.miou(classes=1)


def test_what_cannot_be_counted_is_refused():
    meter = Meter()
    for ask in (meter.miou, meter.fb_iou, lambda: meter.interval("miou")):
        with pytest.raises(ValueError, match="the meter is empty"):
            ask()
    with pytest.raises(ValueError, match="prediction holds label 2; expected 0 to way=1"):
        meter.add(labels("0020"), labels("0000"), (1,))
    with pytest.raises(ValueError, match="target holds label 3"):
        meter.add(labels("0020"), labels("003x"), (1, 2))
    with pytest.raises(ValueError, match="differ from each other"):
        meter.add(labels("0020"), labels("0000"), (3, 3))
    assert len(meter) == 0
    meter.add(labels("0010"), labels("0011"), (3,))
    with pytest.raises((ValueError, TypeError), match="mIoU"):
        meter.interval("mIoU")


def test_a_class_absent_from_the_query_costs_when_predicted():
    meter = Meter()
    meter.add(labels("2222"), labels("1111"), (1, 2))
    assert meter.per_class()[2] == {"intersection": 0, "union": 4, "target": 0, "episodes": 1}
    assert meter.miou() == 0.0


def test_random_maps_against_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(20):
        prediction = rng.integers(0, 4, (9, 11)).astype(np.uint8)
        target = rng.choice([0, 1, 2, 3, 255], (9, 11)).astype(np.uint8)
        counts = count(torch.from_numpy(prediction), torch.from_numpy(target), way=3)
        valid = target != 255
        for row, label in ((0, 0), (2, 1), (3, 2), (4, 3)):
            a, b = (prediction == label) & valid, (target == label) & valid
            assert counts[row].tolist() == [(a & b).sum(), (a | b).sum()]
        a, b = (prediction > 0) & valid, (target > 0) & valid
        # Merged foreground as an IoU of its own is pooled over equal labels only where they agree.
        agree = (prediction == target) & a & b
        assert counts[1][1] == (a | b).sum() and counts[1][0] >= agree.sum()
        assert counts[1][0] == (a & b).sum()


def test_counts_are_exact_beyond_float32():
    meter = Meter()
    meter.classes = [(1,), (1,)]
    object_ = (2**24 + 1, 2**24 + 3, 2**24 + 2)
    areas = np.array([(0, 1, 1), object_, object_], np.int64)
    meter.counts = [areas, areas]
    assert meter.per_class()[1]["intersection"] == 2 * (2**24 + 1)


def test_interval_holds_the_score_and_is_repeatable():
    rng = np.random.default_rng(1)
    meter = Meter()
    for number in range(60):
        target = rng.integers(0, 2, (8, 8))
        wrong = rng.random((8, 8)) < 0.3
        prediction = np.where(wrong, 1 - target, target)
        pair = (torch.from_numpy(x.astype(np.uint8)) for x in (prediction, target))
        meter.add(*pair, (number % 3 + 1,))
    for score in ("miou", "fb_iou"):
        low, high = meter.interval(score)
        assert low < getattr(meter, score)() < high < low + 0.2
        assert meter.interval(score) == (low, high)


def test_an_empty_meter_and_unequal_sizes_are_errors():
    with pytest.raises(ValueError, match="empty"):
        Meter().fb_iou()
    with pytest.raises(ValueError, match="differ in size"):
        count(labels("11"), labels("1"), way=1)


def test_accuracies_are_those_of_the_released_codes():
    """PFENet's mAcc and allAcc, counted by hand: each row's target is 3 and 4 pixels."""
    meter = Meter()
    meter.add(labels("1100"), labels("1110"), (1,))  # 2 of 3 object pixels, 1 of 1 background
    meter.add(labels("1000"), labels("x001"), (2,))  # 0 of 1, 2 of 2
    assert meter.mean_accuracy() == pytest.approx((2 / 4 + 3 / 3) / 2)
    assert meter.pixel_accuracy() == pytest.approx(5 / 7)
    assert [row["target"] for row in meter.per_class().values()] == [3, 1]


def test_accuracies_of_several_classes():
    """Swapped classes are foreground all the same, and wrong pixels."""
    meter = Meter()
    meter.add(labels("1220"), labels("2120"), (1, 2))
    assert meter.mean_accuracy() == 1.0
    assert meter.pixel_accuracy() == pytest.approx(2 / 4)


def episodes_of(rng, classes, episodes, quality, area):
    """A meter of simulated episodes: the IoU of a picture, of its class's quality and its own luck,
    is shared by its two episodes."""
    meter = Meter()
    for number in range(episodes // 2):
        luck = rng.normal(0, 0.8)
        for class_id in rng.integers(0, classes, 2):
            odds = np.log(quality / (1 - quality))[class_id] + luck + rng.normal(0, 0.4)
            union = int(np.exp(area[class_id] + rng.normal(0, 0.6)))
            pair = (round(union / (1 + np.exp(-odds))), union, union)
            meter.queries[len(meter)] = f"picture{number}"
            meter.classes.append((int(class_id),))
            meter.counts.append(np.array([(1000, 1100, 1050), pair, pair]))
    return meter


@pytest.mark.parametrize(("classes", "episodes"), [(5, 60), (20, 160), (5, 400)])
def test_intervals_cover_the_truth(classes, episodes):
    """In 95 % of simulated lists, also where a class has a handful of episodes; the truth is the
    score of a list that is a hundred times as long."""
    rng = np.random.default_rng(classes)
    quality, area = rng.uniform(0.2, 0.8, classes), rng.uniform(5, 8, classes)
    truth = episodes_of(rng, classes, 40_000, quality, area).miou()
    hits, draws = 0, 250
    for _ in range(draws):
        meter = episodes_of(rng, classes, episodes, quality, area)
        low, high = meter.interval("miou")
        hits += low <= truth <= high
        assert min(meter.miou() - low, high - meter.miou()) > 0.3 * (high - low)
    assert 0.90 < hits / draws < 0.985, hits / draws


def test_a_class_of_one_picture_does_not_count_as_zero_where_it_is_left_out():
    """Equal episodes of twenty classes, one each, leave nothing to vary; with classes that are not
    there as zeros every resample would be below the score."""
    meter = Meter()
    for class_id in range(20):
        meter.add(labels("1100"), labels("1110"), (class_id,))
    assert meter.interval("miou") == pytest.approx((2 / 3, 2 / 3))


def test_episodes_of_one_picture_are_left_out_together():
    """Told that pairs of episodes show one picture, the interval is wider than of all apart."""
    rng = np.random.default_rng(0)
    meter = episodes_of(rng, 5, 200, np.full(5, 0.5), np.full(5, 6.0))
    apart = Meter()
    apart.classes, apart.counts = meter.classes, meter.counts
    assert len(meter.by_picture("miou")) == 100 and len(apart.by_picture("miou")) == 200
    (low, high), (low_apart, high_apart) = (each.interval("miou") for each in (meter, apart))
    assert high - low > 1.1 * (high_apart - low_apart)
    assert apart.miou() == meter.miou()


def test_one_picture_says_nothing_of_others():
    meter = Meter()
    meter.add(labels("1100"), labels("1110"), (1,), "a")
    meter.add(labels("1000"), labels("1110"), (2,), "a")
    assert meter.interval("miou") == (0.0, 1.0)
