"""Scores of maps, against counting pairs and against what must hold."""

import numpy as np
import pytest
import torch
from golden import golden

from fsslib.evaluation.map_scores import (
    MapMeter,
    auroc,
    best_iou,
    contrast,
    mean_interval,
    threshold_curve,
)


@pytest.fixture
def pictures():
    """Maps in steps of a tenth (with ties) and masks with all three labels."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 11, (4, 9, 9), generator=generator) / 10
    masks = torch.tensor([0, 1, 255])[torch.randint(0, 3, (4, 9, 9), generator=generator)]
    return maps, masks.to(torch.uint8)


def test_auroc_counts_pairs(pictures):
    for map_, mask, score in zip(*pictures, auroc(*pictures), strict=True):
        inside, outside = map_[mask == 1][:, None], map_[mask == 0][None]
        pairs = (inside > outside).float() + (inside == outside).float() / 2
        assert score == pytest.approx(pairs.mean().item(), abs=1e-6)


def test_auroc_is_blind_to_a_stretch_and_turns_with_the_map(pictures):
    maps, masks = pictures
    np.testing.assert_allclose(auroc(3 * maps - 7, masks), auroc(maps, masks))
    np.testing.assert_allclose(auroc(-maps, masks), 1 - auroc(maps, masks))
    assert auroc(torch.ones_like(maps), masks) == pytest.approx([0.5] * 4)


def test_truth_is_perfect_at_any_size(pictures):
    masks = pictures[1]
    assert best_iou((masks == 1).float(), masks) == 1
    half = torch.zeros(1, 8, 8, dtype=torch.uint8)
    half[:, :, 4:] = 1
    small = torch.tensor([[[0.0, 0.4, 0.6, 1.0]] * 4])
    assert auroc(small, half) == [1]
    assert best_iou(small, half) == 1


def test_best_iou_is_common_to_all_pictures():
    """Each map alone would reach 1 with a threshold of its own."""
    masks = torch.tensor([[[0, 1]], [[0, 1]]], dtype=torch.uint8)
    maps = torch.tensor([[[0.1, 0.3]], [[0.6, 0.9]]])
    assert best_iou(maps, masks) == pytest.approx(2 / 3)
    assert best_iou(maps[:1], masks[:1]) == 1


@pytest.mark.parametrize(("label", "what"), [(0, "no object"), (1, "nothing but object")])
def test_a_mask_with_one_label_has_no_auroc(pictures, label, what):
    maps, masks = pictures
    masks[2] = label
    with pytest.raises(ValueError, match=f"mask 2 has {what}"):
        auroc(maps, masks)


def test_interval_of_a_mean():
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = mean_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)
    assert mean_interval(values) == (low, high)


def test_curve_equals_the_recorded_one():
    case = golden("qgnet/recall_curve")
    maps, masks = case["maps"].float(), case["gt"].to(torch.uint8)
    curve = threshold_curve(maps, masks, case["thresholds"].tolist())
    for name, ours in {
        "recall_per_image": curve.recall_per_image,
        "recall_pooled": curve.recall_pooled,
        "recall_image_mean": curve.recall,
        "coverage": curve.coverage,
        "precision_pooled": curve.precision,
        "auroc": auroc(maps, masks),
        "fg_minus_bg": contrast(maps, masks),
    }.items():
        np.testing.assert_allclose(ours, case[name].numpy(), atol=1e-6)


def test_a_map_that_is_bright_everywhere_has_full_recall_and_pays_for_it(pictures):
    masks = pictures[1]
    curve = threshold_curve(torch.ones(4, 9, 9), masks)
    share = ((masks == 1).sum() / (masks != 255).sum()).item()
    assert (curve.recall == 1).all() and (curve.coverage == 1).all()
    np.testing.assert_allclose(curve.precision, share)
    assert threshold_curve(torch.zeros(4, 9, 9), masks).precision.max() == 0


def test_marked_pixels_are_left_out_of_the_curve(pictures):
    maps, masks = pictures
    before, delta = threshold_curve(maps, masks), contrast(maps, masks)
    maps = maps.where(masks != 255, torch.rand(maps.shape))
    for ours, theirs in zip(threshold_curve(maps, masks), before, strict=True):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(contrast(maps, masks), delta)


def test_a_mask_without_object_has_no_recall(pictures):
    maps, masks = pictures
    masks[[1, 3]] = 0
    with pytest.raises(ValueError, match=r"masks \[1, 3\] have no object"):
        threshold_curve(maps, masks)


def test_the_meter_gives_of_batches_what_all_at_once_gives(pictures):
    maps, masks = pictures
    meter = MapMeter()
    for start in (0, 1, 3):
        stop = {0: 1, 1: 3, 3: 4}[start]
        meter.add(maps[start:stop], masks[start:stop])
    facts, curve, scores = meter.to_dict(), threshold_curve(maps, masks), auroc(maps, masks)
    assert facts["auroc"] == pytest.approx(scores.mean())
    assert facts["dark_on_objects"] == (scores < 0.5).mean()
    assert facts["contrast"] == pytest.approx(contrast(maps, masks).mean())
    assert facts["thresholds"] == pytest.approx(np.linspace(0.1, 0.9, 9))
    for name in ("recall", "recall_pooled", "coverage", "precision"):
        assert facts[name] == pytest.approx(getattr(curve, name), abs=1e-4), name


def test_the_meter_leaves_out_what_cannot_be_asked(pictures):
    maps, masks = pictures
    masks = masks.clone()
    masks[1], masks[2] = 1, 255
    meter = MapMeter()
    meter.add(maps, masks)
    assert meter.to_dict()["pictures"] == 2
    nothing = MapMeter()
    nothing.add(maps[1:3], masks[1:3])
    assert nothing.to_dict() == {}
