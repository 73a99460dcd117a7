"""Matcher's and PerSAM's points: the recorded runs of the released codes, and their edges."""

import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden, prefixed

from fsslib.priors import prompts
from fsslib.priors.grid_masks import touched_mask


@pytest.mark.parametrize("name", ["one", "many"])
def test_matching_is_the_recorded_one(name):
    case = prefixed(golden("frontier/matcher_matching"), f"{name}/")
    side = int(case["side"])
    grid, pixels = (side, side), (14 * side, 14 * side)
    support = case["reference_tokens"].mT.unflatten(2, grid)
    masks = touched_mask(case["reference_masks"], grid)
    assert torch.equal(masks, case["mask_cells"].bool())
    query = case["target_tokens"].T.unflatten(1, grid)
    matching = prompts.match_cells_both_ways(support, query, masks)
    assert_near(matching.similarity, case["similarity"], 1e-5)
    assert_near(matching.cost, case["cost"], 1e-5)
    assert len(matching.rows) == case["forward_rows"]
    assert torch.equal(matching.retained, case["retain"])
    similarities = matching.similarity[
        matching.rows[matching.selected], matching.columns[matching.selected]
    ]
    assert_near(similarities, case["matched_similarity_sorted"], 1e-5)
    assert len(similarities) == case["kept"]
    points = prompts.centre_pixels(matching.cells, grid, pixels)
    assert torch.equal(points, case["points_xy"])
    assert torch.equal(prompts.box_of(points), case["box"])


@pytest.mark.parametrize("number", [0, 1])
def test_persams_points_are_the_recorded_ones(number):
    case = prefixed(golden("frontier/persam_points"), f"{number}/")
    positive, negative = prompts.select_points(case["sim"], int(case["topk"]))
    assert torch.equal(positive, case["positive_xy"])
    assert torch.equal(negative, case["negative_xy"])


def noisy(cells, seed=0):
    torch.manual_seed(seed)
    return torch.randn(1, 8, *cells), torch.randn(8, *cells)


def test_each_query_cell_is_matched_at_most_once_and_no_more_than_there_are():
    support, query = torch.randn(3, 8, 4, 4), torch.randn(8, 4, 4)  # three shots in one list
    matching = prompts.match_cells_both_ways(support, query, torch.ones(3, 4, 4).bool())
    assert matching.similarity.shape == (48, 16)
    assert len(matching.columns) == len(matching.columns.unique()) == 16


def test_beyond_forty_pairs_the_better_half_is_kept():
    support, query = noisy((7, 7))
    everywhere = torch.ones(1, 7, 7, dtype=torch.bool)
    matching = prompts.match_cells_both_ways(support, query, everywhere)
    assert matching.retained.all() and len(matching.selected) == 49 // 2
    values = matching.similarity[matching.rows, matching.columns]
    others = torch.ones(49, dtype=torch.bool)
    others[matching.selected] = False
    assert values[matching.selected].min() >= values[others].max()


def test_where_no_pair_comes_back_all_stay():
    query = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dim=0).view(2, 1, 2)
    support = torch.tensor([[[[1.0, 1.0, 0.8]], [[0.0, 0.0, 0.6]]]])  # like, like, less like
    masks = torch.tensor([[[False, False, True]]])
    matching = prompts.match_cells_both_ways(support, query, masks)
    assert not matching.retained.any(), "the way back ends at a cell that is more alike"
    assert len(matching.selected) == len(matching.rows) == 1 and matching.cells.tolist() == [[0, 0]]


def test_points_are_centres():
    cells = torch.tensor([[0, 0], [2, 1]])
    assert prompts.centre_pixels(cells, (3, 3), (42, 42)).tolist() == [[7, 7], [35, 21]]


def test_persams_map_points_at_the_objects_like():
    features = torch.randn(8, 6, 6)
    features[:, 2, 3] = 5 * features[:, 2, 3]
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[16:24, 24:32] = True
    similarity = prompts.persam_map(features, features, mask, (48, 48))
    (positive,), _ = prompts.select_points(similarity)
    assert 24 <= positive[0] < 32 and 16 <= positive[1] < 24


def test_persams_map_of_a_mask_that_sampling_misses_is_finite():
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[0, 0] = True
    features = torch.randn(4, 6, 6)
    assert prompts.persam_map(features, features, mask, (20, 30)).isfinite().all()
