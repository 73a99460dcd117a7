"""GF-SAM: the recorded run of the released code, SAM being recorded masks, and its traps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import GOLDEN, assert_near, golden

from fsslib.priors import gfsam, mask_graph
from fsslib.priors.grid_masks import centre_square, soft_mask

GRID = (14, 14)


@pytest.fixture(scope="module")
def case():
    case = golden("frontier/gfsam_1shot")
    with np.load(GOLDEN / "frontier/gfsam_1shot.npz") as arrays:
        bits = np.unpackbits(arrays["sam_masks"], axis=-1)[..., : int(case["size"])]
    case["masks"] = torch.from_numpy(bits).bool()
    case["support"] = gfsam.channel_norm(case["reference_tokens"].mT.unflatten(2, GRID))
    case["query"] = gfsam.channel_norm(case["target_tokens"].T.unflatten(1, GRID))
    case["inside"] = soft_mask(case["reference_masks"], GRID)
    case["outside"] = soft_mask(1 - case["reference_masks"], GRID)
    return case


def maps_of(case, **options):
    about = (case["support"], case["query"], case["inside"], case["outside"])
    return gfsam.positive_negative_maps(*about, **options)


def selected(case, **options):
    maps = maps_of(case)
    about = (case["masks"], case["points_grid_xy"], case["query"], maps.mean, maps.negative)
    return mask_graph.select_masks(*about, **options)


def test_maps_are_the_recorded_ones(case):
    maps = maps_of(case)
    assert_near(case["query"].flatten(1).T, case["target_normalised"], 2e-5)
    assert_near(maps.maximum, case["sim_max"][0], 2e-5)
    assert_near(maps.mean, case["sim_mean"][0], 2e-5)
    assert_near(maps.negative, case["neg_mean"][0], 2e-5)
    assert_near(maps.positive, case["cross"][0], 2e-5)
    assert_near(maps.filtered, case["filtered"][0], 2e-5)
    assert_near(1 - case["inside"], case["outside"], 1e-6)
    alone = gfsam.positive_negative_maps(case["support"], case["query"], case["inside"])
    assert_near(alone.negative, maps.negative, 2e-5)


def test_switches_of_the_maps_change_the_result(case):
    plain = (
        case["reference_tokens"].mT.unflatten(2, GRID),
        case["target_tokens"].T.unflatten(1, GRID),
    )
    without = gfsam.positive_negative_maps(*plain, case["inside"], case["outside"])
    assert (without.positive - case["cross"][0]).abs().max() > 0.01
    positive_only = maps_of(case, relu=True)
    assert (
        positive_only.mean - case["sim_mean"][0]
    ).abs().max() > 0.01  # some cosines are negative


def test_points_are_the_recorded_ones(case):
    points = gfsam.point_cells(case["filtered"][0])
    assert torch.equal(points, case["points_grid_xy"])
    hot = torch.zeros(GRID, dtype=torch.uint8)
    hot[points[:, 1], points[:, 0]] = 1
    assert torch.equal(hot, case["hot"])
    pixels = gfsam.point_pixels(points, GRID, (1024, 1024))
    assert torch.equal(pixels, case["sam_points_int"].long())


def test_the_graph_is_the_recorded_one(case):
    points = case["points_grid_xy"]
    for kind in ("weak", "strong"):
        labels = mask_graph.mask_components(case["masks"], points, GRID, kind)
        assert torch.equal(labels, case[f"labels_{kind}"].long())
        assert labels.max() + 1 == case[f"n_{kind}"]


def test_both_gates_and_the_prediction_are_the_recorded_ones(case):
    selection = selected(case)
    assert_near(selection.gate.threshold, case["mean_half"], 2e-5)
    assert torch.equal(selection.gate.polarity, case["polarity"][0])
    assert torch.equal(selection.gate.positive.long(), case["positive"])
    assert_near(selection.gate.scores, case["cls_scores"], 1e-4)
    assert_near(selection.unions, case["union_similarities"], 2e-5)
    assert_near(selection.nearness, case["point_similarities"], 2e-5)
    assert torch.equal(selection.consistent.long(), case["consistent"])
    assert torch.equal(selection.selected, case["selected"])
    assert torch.equal(selection.mask, case["prediction"][0].bool())
    probability = gfsam.probability(maps_of(case).mean, case["masks"][selection.chosen])
    assert_near(probability, case["probability"][0], 1e-4)


def test_the_majority_rule_overrules_points(case):
    nearness, labels = case["point_similarities"], case["labels_weak"].long()
    free = mask_graph.overshooting_gating(nearness, labels, majority=False)
    ruled = mask_graph.overshooting_gating(nearness, labels)
    assert torch.equal(ruled.long(), case["consistent"])
    assert (free & ~ruled).sum() == 2


def test_gating_by_unions_and_without_overshooting_are_switches(case):
    united = selected(case, gating="union")
    for component in united.components.unique():
        assert united.gate.positive[united.components == component].unique().numel() == 1
    assert selected(case, overshooting=False).consistent.all()


def test_shots_are_means_of_maps(case):
    torch.manual_seed(0)
    support = torch.randn(2, 20, 14, 14)
    masks = torch.stack([case["inside"][0], case["inside"][0].T])
    both = gfsam.positive_negative_maps(support, case["query"], masks)
    each = [
        gfsam.positive_negative_maps(support[k : k + 1], case["query"], masks[k : k + 1])
        for k in range(2)
    ]
    for name in ("maximum", "mean", "negative"):
        mean = (getattr(each[0], name) + getattr(each[1], name)) / 2
        assert_near(getattr(both, name), mean, 1e-6)


def test_the_channel_norm_is_over_the_cells_of_a_picture():
    """`F.normalize(dim=1)` on (n, c) is over channels; on (b, n, c) it is over cells."""
    torch.manual_seed(0)
    tokens = torch.randn(9, 4)  # (n, c)
    flat, batched = F.normalize(tokens, dim=1), F.normalize(tokens[None], dim=1)[0]
    assert_near(flat.norm(dim=1), torch.ones(9), 1e-6)
    assert_near(batched.norm(dim=0), torch.ones(4), 1e-6)
    ours = gfsam.channel_norm(tokens.T.view(4, 3, 3)).flatten(1).T
    assert_near(ours, batched, 1e-6)


def test_the_number_of_points():
    grid = torch.zeros(4, 4)
    assert gfsam.point_cells(grid).shape == (0, 2)  # the released code stops here
    grid[2, 1] = 0.4
    assert gfsam.point_cells(grid).tolist() == [[1, 2]]  # at least one
    grid[0, 1], grid[3, 0] = 1, 0.9
    assert gfsam.point_cells(grid).tolist() == [[0, 3], [1, 0]]  # 2.3: two; column, then row
    assert len(gfsam.point_cells(torch.ones(20, 20))) == 128
    assert len(gfsam.point_cells(torch.ones(20, 20), most=7)) == 7


def test_points_are_corners_cut_to_whole_pixels():
    cells = torch.tensor([[0, 0], [1, 36]])
    assert gfsam.point_pixels(cells, (37, 37), (1024, 1024)).tolist() == [[0, 0], [27, 996]]
    assert gfsam.point_pixels(cells, (37, 74), (97, 148)).tolist() == [[0, 0], [2, 94]]


def test_an_empty_mask_becomes_a_square_in_the_middle():
    square = centre_square(torch.zeros(40, 50, dtype=torch.uint8))
    rows, columns = square.nonzero().T
    assert square.sum() == 14 * 14
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 26, 18, 31)
    full = torch.ones(3, 3, dtype=torch.uint8)
    assert centre_square(full) is not None and torch.equal(centre_square(full), full)


def test_the_score_of_a_component_is_the_last_masks_not_the_unions():
    masks = torch.zeros(2, 1, 6)
    masks[0, 0, :3], masks[1, 0, 3:] = 1, 1  # object, background
    mean = torch.tensor([[1.0, 1.0, 1.0, 0.1, 0.1, 0.1]])
    negative = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]])
    gate = mask_graph.positive_gating(masks, torch.zeros(2).long(), mean, negative)
    assert gate.positive.tolist() == [True, False]
    assert gate.scores.tolist() == [-3, -3]  # of the mask that was refused


def test_a_mask_is_judged_by_what_it_adds():
    masks = torch.zeros(2, 1, 6)
    masks[0, 0, :3], masks[1, 0, :] = 1, 1  # the second holds the first, and as much background
    mean = torch.tensor([[1.0, 1.0, 1.0, 0.1, 0.1, 0.1]])
    negative = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]])
    gate = mask_graph.positive_gating(masks, torch.zeros(2).long(), mean, negative)
    assert gate.positive.tolist() == [True, False] and gate.scores.tolist() == [-3, -3]
    united = mask_graph.positive_gating(masks, torch.zeros(2).long(), mean, negative, "union")
    assert united.scores.tolist() == [0, 0] and not united.positive.any()


def test_a_neighbour_of_a_component_is_as_near_as_its_own_points():
    points, labels = torch.tensor([[0, 0], [1, 0], [3, 0]]), torch.tensor([0, 1, 1])
    maps = torch.ones(2, 1, 4)
    nearness = mask_graph.point_nearness(maps, points, labels)
    assert_near(nearness, torch.tensor([[1, 1, 1 / 3], [1, 1, 1]]), 1e-6)
    own = mask_graph.overshooting_gating(nearness, labels, majority=False)
    assert own.tolist() == [True, False, True]  # ties go to the lower number
    assert mask_graph.overshooting_gating(nearness, labels).tolist() == [True, False, True]


def test_where_nothing_is_sure_one_mask_wins_even_one_of_label_0():
    none = torch.tensor([0, 2, 2])
    scores = torch.tensor([5.0, 2.0, 3.0])
    assert mask_graph.choose_masks(none, scores).tolist() == [False, False, True]
    negative = torch.tensor([5.0, -2.0, -3.0])
    assert mask_graph.choose_masks(none, negative).tolist() == [True, False, False]
    certain = torch.tensor([1, 2, 1])
    assert mask_graph.choose_masks(certain, scores).tolist() == [True, False, True]


def test_edges_run_from_masks_to_the_points_they_cover():
    points = torch.tensor([[0, 0], [3, 0], [3, 3]])
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, 0, :] = True  # covers the second point, which does not cover it
    masks[1, 0, 3], masks[2, 3, 3] = True, True
    assert mask_graph.mask_components(masks, points, (4, 4)).tolist() == [0, 0, 1]
    strong = mask_graph.mask_components(masks, points, (4, 4), "strong")
    assert len(strong.unique()) == 3


def test_no_masks_have_no_probability():
    nothing = torch.zeros(0, 5, 5, dtype=torch.bool)
    assert not gfsam.probability(torch.rand(3, 3), nothing).any()
