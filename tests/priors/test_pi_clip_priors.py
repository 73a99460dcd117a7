"""The three priors of PI-CLIP against recordings of its code, and where paper and code differ."""

import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden

from fsslib.priors.gradcam import grad_cam, raw_cam
from fsslib.priors.refinement import (
    box_mask,
    high_order,
    mean_attention,
    refine,
    sinkhorn,
)
from fsslib.priors.similarity import min_max, similarity_maps


def test_grad_cam_of_recorded_activations():
    case = golden("pi_clip/gradcam_from_acts")
    assert_near(raw_cam(case["activations"], case["gradients"]), case["raw_cam"], 1e-5)
    cam = grad_cam(case["activations"], case["gradients"])
    assert_near(cam, case["cam"], 1e-5)
    assert not cam[2].any(), "the third is negative everywhere"
    stretched = min_max(raw_cam(case["activations"], case["gradients"]).relu())
    up = F.interpolate(stretched[:, None], (41, 50), mode="bilinear", align_corners=False)[:, 0]
    # Recorded after the first of the two stretches.
    assert_near(up, case["upsampled_w50_h41"], 1e-5)


def test_refinement_of_recorded_attention():
    case = golden("pi_clip/pir_refine")
    affinity = mean_attention(case["attn_last12"][None])
    assert_near(affinity[0], case["attn_mean_last8"], 1e-6)
    stochastic = sinkhorn(affinity)
    assert_near(stochastic[0], case["D"], 1e-6)
    assert_near(high_order(stochastic)[0], case["R"], 1e-6)
    squared = high_order(stochastic, square=True)
    assert_near(squared[0], case["R2"], 1e-6)
    cam = case["cam"][None]
    boxes = box_mask(cam)
    assert torch.equal(boxes[0], case["box_mask"])
    refined = refine(cam, squared, boxes)
    assert_near(refined[0], case["refined"], 1e-6)
    height, width = case["image_hw"].tolist()
    full = F.interpolate(min_max(refined)[:, None], (height, width), mode="bilinear")[0, 0]
    assert_near(full, case["refined_resized_HW"], 1e-5)


def test_boxes_of_many_maps_at_once():
    case = golden("pi_clip/box_mask")
    threshold = case["threshold"].item()
    assert torch.equal(box_mask(case["cams"], threshold), case["masks"])
    assert torch.equal(box_mask(case["cams"], 0.7), case["masks_thr07"])
    assert torch.equal(box_mask(case["rect_cams"], threshold), case["rect_masks"])
    alone = torch.cat([box_mask(cam[None], threshold) for cam in case["cams"]])
    assert torch.equal(alone, case["masks"]), "maps of a batch must not touch each other"


def test_similarity_of_recorded_features():
    case = golden("pi_clip/vvp_similarity")
    maps = similarity_maps(case["q"], case["s"], case["mask"])
    assert_near(maps, case["sim_all_shots"], 1e-5)
    assert_near(maps[:, :1], case["sim_shot0"], 1e-5)
    up = F.interpolate(maps, (13, 13), mode="bilinear", align_corners=True)
    assert_near(up, case["sim_upsampled13"], 1e-5)
    assert_near(
        similarity_maps(case["q"], case["s"], case["mask"], True), case["minmax_paper_eq8"], 1e-5
    )


def test_an_empty_support_mask_gives_an_empty_prior():
    features = torch.randn(1, 4, 3, 3)
    maps = similarity_maps(features, features[:, None], torch.full((1, 1, 9, 9), 255))
    assert not maps.any()


def test_one_sinkhorn_round_makes_rows_sum_to_one():
    affinity = torch.rand(2, 5, 5) + 0.1
    one_round, many_rounds = sinkhorn(affinity), sinkhorn(affinity, rounds=50)
    torch.testing.assert_close(one_round.sum(2), torch.ones(2, 5))
    torch.testing.assert_close(many_rounds.sum(1), torch.ones(2, 5), atol=1e-5, rtol=0)
    assert (one_round.sum(1) - 1).abs().max() > 1e-3


def test_where_the_box_is_put_matters():
    torch.manual_seed(0)
    prior, matrix = torch.rand(1, 3, 3), torch.rand(1, 9, 9)
    boxes = torch.zeros(1, 3, 3)
    boxes[0, :2, :2] = 1
    columns, result = (refine(prior, matrix, boxes, on) for on in ("columns", "result"))
    assert not result[0, 2].any(), "a mask on the result leaves nothing outside"
    assert columns[0, 2].any()
    assert_near(refine(prior, matrix), (matrix[0] @ prior.flatten()).view(1, 3, 3), 1e-6)


def test_too_few_blocks_are_named():
    with pytest.raises(ValueError, match="attention of 4 blocks"):
        mean_attention(torch.rand(1, 4, 5, 5), last=8)
