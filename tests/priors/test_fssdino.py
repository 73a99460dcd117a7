"""FSSDINO: the recorded run of the released code, and its traps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden

from fsslib.evaluation.confusion import confusion_scores
from fsslib.priors import fssdino
from fsslib.priors.kmeans import draw_start, kmeans


@pytest.fixture(scope="module")
def case():
    case = golden("frontier/fssdino_1way1shot")
    case["maps"] = case["tokens"].mT.unflatten(2, (10, 10))  # (1 + S, C, h, w), the query first
    return case


def pools_of(case):
    return fssdino.class_pools(case["maps"][1:], case["support_masks"])


def classes_of(case):
    return [
        fssdino.class_maps(case["maps"][0], pool, 5, start=case[f"init_idx_{number}"])
        for number, pool in enumerate(pools_of(case))
    ]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_kmeans_is_the_released_one(metric, count):
    case = golden("frontier/fssdino_kmeans")
    clusters = kmeans(case["X"], case[f"{metric}{count}_init"], metric)
    assert torch.equal(clusters.labels, case[f"{metric}{count}_labels"])
    assert_near(clusters.centres, case[f"{metric}{count}_centres"], 1e-5)
    assert clusters.iterations == case[f"{metric}{count}_iterations"]


@pytest.mark.parametrize("number", [0, 1])
def test_maps_of_a_class_are_the_recorded_ones(case, number):
    pool, maps = pools_of(case)[number], classes_of(case)[number]
    assert len(pool) == case[f"pool_size_{number}"]
    assert_near(maps.prototypes, case[f"protos_{number}"], 1e-5)
    assert_near(maps.similarities, case[f"sims_{number}"], 1e-5)
    assert_near(fssdino.class_gram(pool), case[f"gram_{number}"], 1e-5)
    assert_near(maps.gram, case[f"gram_map_{number}"], 1e-5)


def test_scores_and_predictions_are_the_recorded_ones(case):
    classes = classes_of(case)
    scores = fssdino.class_scores(classes, (40, 40))
    assert_near(scores, case["class_scores"], 1e-5)
    assert_near(scores.amax(0), case["pixel_scores"], 1e-5)
    prediction = fssdino.predict_classes(scores)
    assert torch.equal(prediction, case["pred"])
    resized = fssdino.at_size(prediction, (47, 35), 2)
    assert torch.equal(resized, case["pred_resized"])
    bare = fssdino.class_scores([maps._replace(gram=None) for maps in classes], (40, 40))
    assert torch.equal(fssdino.predict_classes(bare), case["pred_without_gram"])


def test_scores_of_a_confusion_are_the_recorded_ones():
    case = golden("frontier/fssdino_kmeans")
    scores = confusion_scores(case["confusion"].numpy())
    np.testing.assert_allclose(scores.per_class, case["f64_per_class_iou"], atol=1e-12)
    np.testing.assert_allclose(100 * scores.miou, case["f64_mIoU"], atol=1e-10)
    np.testing.assert_allclose(100 * scores.fb_iou, case["f64_FBIoU"], atol=1e-10)


def test_the_gram_energy_needs_no_matrix():
    torch.manual_seed(0)
    query, pool = torch.randn(12, 5, 6), torch.randn(7, 12)
    for kind in ("raw", "unit"):
        whole = fssdino.gram_energy(query, fssdino.class_gram(pool), kind)
        assert_near(fssdino.gram_energy_of_pool(query, pool, kind), whole, 1e-5)


def test_raw_queries_let_long_features_win_and_unit_ones_do_not():
    torch.manual_seed(0)
    query, pool = torch.randn(8, 4, 4), torch.randn(20, 8)
    longer = query.clone()
    longer[:, 0, 0] *= 10
    energy = [fssdino.gram_energy_of_pool(each, pool) for each in (query, longer)]
    torch.testing.assert_close(energy[1][0, 0], 100 * energy[0][0, 0])
    unit = [fssdino.gram_energy_of_pool(each, pool, "unit") for each in (query, longer)]
    assert_near(unit[0], unit[1], 1e-6)


def test_a_cell_unlike_everything_scores_without_the_gram_map():
    maps = torch.full((3, 2, 2), -0.5)
    assert (fssdino.class_score(maps, (4, 4)) == 0.25).all()  # (-0.5) · (-0.5)
    with_gram = torch.cat([maps, torch.zeros(1, 2, 2)])
    assert (fssdino.class_score(with_gram, (4, 4)) <= 0).all()


def test_the_product_of_largest_and_mean_is_taken_after_enlarging():
    maps = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    full = F.interpolate(maps[None], (1, 4), mode="bilinear", align_corners=False)[0]
    assert_near(fssdino.class_score(maps, (1, 4)), full.amax(0) * full.mean(0), 1e-6)


def test_a_class_without_a_cell_never_wins_or_has_the_cell_that_holds_most_of_it():
    features, masks = torch.randn(1, 3, 2, 2), torch.zeros(1, 2, 20, 20, dtype=torch.uint8)
    masks[:, 0] = 1
    masks[0, 0, 13:15, 13:15], masks[0, 1, 13:15, 13:15] = 0, 1  # between the sampled pixels
    released = fssdino.class_pools(features, masks)
    assert [len(pool) for pool in released] == [4, 0]
    mended = fssdino.class_pools(features, masks, "largest")
    assert torch.equal(mended[1], features[:, :, 1, 1])
    scores = fssdino.class_scores([fssdino.class_maps(features[0], released[0]), None], (4, 4))
    assert (scores[1] == -torch.inf).all() and (fssdino.predict_classes(scores) == 0).all()


def test_ties_go_to_the_background():
    assert (fssdino.predict_classes(torch.ones(3, 2, 2)) == 0).all()


def test_a_small_pool_is_its_own_prototypes_and_a_full_one_is_clustered():
    pool = torch.randn(4, 6)
    assert fssdino.class_prototypes(pool, 5) is pool
    assert fssdino.class_prototypes(pool, 4).shape == (4, 6)
    assert sorted(draw_start(9, 9, seed=1).tolist()) == list(range(9))


def test_centres_are_means_of_raw_rows():
    points = torch.tensor([[10.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.1]])
    clusters = kmeans(points, torch.tensor([0, 2]))
    assert_near(clusters.centres[0], points[:2].mean(0), 1e-6)  # not the mean of unit rows
    assert clusters.labels.tolist() == [0, 0, 1, 1]


def test_the_tolerance_is_absolute():
    torch.manual_seed(0)
    points, start = torch.randn(200, 8), torch.arange(6)
    rounds = [kmeans(points * scale, start).iterations for scale in (1e-4, 1.0)]
    assert rounds[0] == 1 < rounds[1]  # small features stop at once


def test_a_zero_row_is_no_nan():
    points = torch.randn(10, 4)
    points[3] = 0
    clusters = kmeans(points, torch.tensor([0, 1]))
    assert clusters.centres.isfinite().all() and clusters.labels[3] == 0
