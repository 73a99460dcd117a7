"""Superpixels: what is accepted, which segments are patches, boxes by the definition."""

import numpy as np
import pytest

from fsslib.data.scenes import render_scene
from fsslib.priors.superpixels import (
    Segments,
    SuperpixelConfig,
    dilated,
    fit_long_side,
    measure,
    report,
    superpixels,
)

SLIC = SuperpixelConfig.preset("scenes_slic")


@pytest.fixture(scope="module")
def picture():
    return render_scene("test", 0, 3, 96).image


@pytest.mark.parametrize("name", ["scenes_slic", "scenes_felzenszwalb", "slic", "felzenszwalb"])
def test_labels_have_no_gaps_and_the_size_that_was_asked_for(picture, name):
    config = SuperpixelConfig.preset(name)
    labels = superpixels(picture[:60], config)
    assert max(labels.shape) == config.long_side and labels.shape[0] < labels.shape[1]
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_segments_do_not_cross_a_clear_edge():
    picture = np.full((96, 96, 3), 40, np.uint8)
    picture[:, 48:] = (220, 30, 30)
    for name in ("scenes_slic", "scenes_felzenszwalb"):
        labels = superpixels(picture, SuperpixelConfig.preset(name))
        assert not set(labels[:, :48].ravel()) & set(labels[:, 48:].ravel()), name


def test_more_segments_are_made_when_more_are_asked_for(picture):
    counts = [
        superpixels(picture, SuperpixelConfig.preset("scenes_slic", n_segments=n)).max() + 1
        for n in (10, 40, 90)
    ]
    assert counts == sorted(counts) and counts[0] < counts[2] <= 90


def test_measures_are_what_a_loop_finds():
    rng = np.random.default_rng(0)
    labels = np.unique(rng.integers(30, size=(20, 33)), return_inverse=True)[1].reshape(20, 33)
    labels[:12, :14] = 0
    config = SuperpixelConfig(min_area=20, min_side=12)
    segments = measure(labels.astype(np.uint16), config)
    for one in range(labels.max() + 1):
        rows, columns = np.nonzero(labels == one)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert segments.boxes[one].tolist() == box
        assert segments.areas[one] == len(rows)
        short = min(box[2] - box[0], box[3] - box[1])
        assert segments.eligible[one] == (len(rows) >= 20 and short >= 12)
    assert 0 < segments.eligible.sum() < len(segments.areas)


def test_without_an_eligible_segment_the_largest_is_one():
    labels = np.zeros((8, 8), np.uint16)
    labels[:, 6:] = 1
    segments = measure(labels, SuperpixelConfig(min_area=1000))
    assert segments.eligible.tolist() == [True, False]


def test_long_thin_segments_are_no_patches():
    labels = np.zeros((96, 96), np.uint16)
    labels[40:44] = 1
    segments = measure(labels, SuperpixelConfig(min_area=100, min_side=10))
    assert segments.areas[1] == 4 * 96
    assert segments.eligible.tolist() == [True, False]


def test_boxes_grow_by_a_tenth_on_each_side_and_stay_inside():
    boxes = np.array([[10, 20, 30, 60], [0, 0, 50, 50]], np.float32)
    grown = dilated(boxes, 0.1, height=62, width=52)
    assert grown.tolist() == [[8, 16, 32, 62], [0, 0, 52, 55]]


def test_report_counts():
    boxes = np.array([[0, 0, 4, 10], [0, 0, 6, 6]], np.float32)
    one = Segments(np.array([40, 20]), boxes, np.array([True, False]))
    summary = report([one, one])
    assert summary["pictures"] == 2 and summary["segments"] == 2 and summary["eligible"] == 1
    assert summary["median_area"] == 30 and summary["median_side"] == 5
    assert summary["median_eligible_area"] == 40


def test_only_uint8_rgb_is_accepted(picture):
    for wrong in (picture[..., 0], np.dstack([picture, picture[..., :1]])):
        with pytest.raises(Exception, match=r"uint8 RGB|shape|type"):
            fit_long_side(wrong, 96)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_segments": 0}, "n_segments=0"),
        ({"scale": 0}, "scale=0"),
        ({"margin": -0.1}, "margin=-0.1"),
        ({"n_segment": 3}, "did you mean 'n_segments'"),
    ],
)
def test_impossible_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        SuperpixelConfig.preset("slic", **changes)
    with pytest.raises(ValueError, match="superpixels='slik'"):
        SuperpixelConfig.preset("slik")
