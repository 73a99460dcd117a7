"""INSID3: the recorded run of the released code, and its traps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden
from scipy.cluster.hierarchy import fcluster

from fsslib.priors import insid3
from fsslib.priors.agglomerative import agglomerate, cosine_distances, cut_tree, merge_tree
from fsslib.priors.grid_masks import half_mask
from fsslib.priors.keypoints import point_cells, transfer_keypoints
from fsslib.priors.positional_basis import (
    blank_spectrum,
    components_for,
    debias,
    plain_features,
    positional_basis,
)


@pytest.fixture(scope="module")
def case():
    case = golden("frontier/insid3_1shot")
    basis = positional_basis(case["blank"], int(case["svd_components"]))
    case["own"], case["plain"] = debias(case["maps"], basis.projector), plain_features(case["maps"])
    case["basis"] = basis
    case["grid_masks"] = torch.stack([half_mask(mask, (12, 12)) for mask in case["ref_masks"]])
    return case


@pytest.mark.parametrize("count", [1, 3, 8])
def test_debiasing_is_the_released_one(count):
    case = golden("frontier/insid3_debias")
    basis = positional_basis(case["blank"], count)
    assert basis.directions.shape[1] == case[f"columns_{count}"]
    assert_near(basis.singular_values, case["singular_values"], 5e-5)
    assert_near(basis.projector, case[f"projector_{count}"], 5e-5)
    assert_near(debias(case["maps"], basis.projector), case[f"debiased_{count}"], 5e-5)


def test_too_many_components_are_refused_because_nothing_would_be_left():
    case = golden("frontier/insid3_debias")  # 16 channels, 81 cells
    released = positional_basis(case["blank"], 500, refuse=False)
    assert released.directions.shape[1] == case["columns_500"] == 16
    assert released.projector.abs().max() < 1e-4 > case["projector_500"].abs().max()
    for count in (16, 500):
        with pytest.raises(ValueError, match=r"16 channels and 81 cells.*expected 0 to 15"):
            positional_basis(case["blank"], count)
    few = case["blank"][:, :3, :3]  # 9 cells: centring leaves a rank of 8
    with pytest.raises(ValueError, match="expected 0 to 7"):
        positional_basis(few, 8)
    assert positional_basis(few, 7).directions.shape == (16, 7)


def test_what_the_trap_leaves_is_rounding_that_looks_like_features():
    """The reason to refuse: unit length, no NaN, and cosines that hardly changed."""
    torch.manual_seed(0)
    features = F.normalize(torch.randn(2, 32, 12, 12) + 0.5, dim=1)
    basis = positional_basis(torch.randn(32, 12, 12), 32, refuse=False)
    left = debias(features, basis.projector)
    assert left.isfinite().all()
    assert_near(left.norm(dim=1), torch.ones(2, 12, 12), 1e-4)


def test_no_component_takes_nothing_out():
    features = torch.randn(3, 8, 5, 5)
    basis = positional_basis(torch.randn(8, 5, 5), 0)
    assert_near(debias(features, basis.projector), plain_features(features), 1e-6)


def test_a_share_of_the_variance_in_place_of_a_number():
    values = torch.tensor([3.0, 4.0, 0.0]).sort(descending=True).values  # 16 and 9 of 25
    assert [components_for(values, share) for share in (0, 0.5, 0.64, 0.65, 1)] == [0, 1, 1, 2, 2]
    blank = torch.randn(16, 9, 9)
    half = positional_basis(blank, share=0.5)
    held = blank_spectrum(blank)[1].square().cumsum(0) / blank_spectrum(blank)[1].square().sum()
    count = half.directions.shape[1]
    assert held[count - 1] >= 0.5 > held[count - 2]


def test_candidates_are_the_recorded_ones(case):
    assert_near(case["basis"].projector, case["projector"], 5e-5)
    assert_near(case["own"], case["debiased"], 5e-5)
    assert torch.equal(case["grid_masks"], case["ref_masks_grid"])
    support, query = case["own"][:-1], case["own"][-1]
    assert_near(insid3.prototype(support, case["grid_masks"]), case["ref_prototype"], 5e-5)
    chosen = insid3.candidates(query, support, case["grid_masks"])
    assert_near(chosen.similarity, case["sim_forward"], 5e-5)
    assert torch.equal(chosen.forward, case["forward_mask"])
    assert torch.equal(chosen.votes, case["votes"].long())
    assert torch.equal(chosen.backward, case["backward_mask"])
    assert torch.equal(chosen.both, case["candidates"])


def same_partition(first, second):
    pairs = set(zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))
    return len(pairs) == len(first.unique()) == len(second.unique())


def test_clusters_are_the_recorded_ones(case):
    labels = agglomerate(case["plain"][-1], float(case["tau"]))
    assert same_partition(labels, case["cluster_labels"])
    assert labels.flatten()[0] == 0  # numbered in order of their first cell


def test_aggregation_is_the_recorded_one(case):
    labels = case["cluster_labels"]
    merged = insid3.aggregate(
        case["plain"][-1],
        case["own"][-1],
        labels,
        case["candidates"],
        case["ref_prototype"],
        float(case["merge_threshold"]),
    )
    assert merged.seed == case["seed_id"]
    assert_near(merged.intra, case["intra_sim"], 5e-5)
    assert_near(merged.cross, case["cross_sim"], 5e-5)
    assert_near(merged.share, case["area_weights"], 5e-5)
    assert_near(merged.score, case["combined"], 5e-5)
    assert torch.equal(merged.selected[labels], case["mask_grid"])
    size = case["orig_size"].tolist()
    final = insid3.official_edges(merged.selected[labels], int(case["image_size"]), size)
    assert torch.equal(final, case["final"])
    means = F.normalize(insid3.cluster_means(case["own"][-1], labels), dim=1)
    assert_near(means, case["cluster_protos"], 5e-5)


@pytest.mark.parametrize("kind", ["plain", "debiased"])
def test_key_points_are_the_recorded_ones(kind):
    case = golden("frontier/insid3_keypoints")
    basis = positional_basis(case["blank"], int(case["svd_components"]))
    maps = plain_features(case["maps"])
    maps = maps if kind == "plain" else debias(case["maps"], basis.projector)
    sizes = case["ref_size"].tolist(), case["tgt_size"].tolist()
    carried = transfer_keypoints(maps[0], maps[1], case["keypoints_xy"], *sizes)
    assert_near(carried.similarity, case[f"sim_{kind}"], 5e-5)
    assert_near(carried.points, case[f"points_{kind}"], 2e-3)


def test_key_points_are_rounded_half_to_even_and_stay_inside():
    points = torch.tensor([[5.0, 15.0], [25.0, 0.0], [99.0, 99.0]])
    cells = point_cells(points, (100, 100), (10, 10))  # 0.5, 1.5, 2.5 and 9.9 cells
    assert cells.tolist() == [[0, 2], [2, 0], [9, 9]]


def test_a_mask_finds_its_cells_in_three_ways():
    mask = torch.zeros(40, 40, dtype=torch.bool)
    assert not half_mask(mask, (4, 4)).any()  # empty: the released code stops here
    mask[21:28, 1:9] = True
    assert half_mask(mask, (4, 4)).nonzero().tolist() == [[2, 0]]
    nearest = torch.zeros(40, 40, dtype=torch.bool)
    nearest[10, 20] = True
    assert half_mask(nearest, (4, 4)).nonzero().tolist() == [[1, 2]]
    between = torch.zeros(40, 40, dtype=torch.bool)
    between[33, 17] = True
    assert half_mask(between, (4, 4)).nonzero().tolist() == [[3, 1]]


def test_the_centroid_of_an_oblong_mask_is_divided_by_one_number():
    mask = torch.zeros(40, 20, dtype=torch.bool)
    mask[33, 17] = True  # 20 // 4 = 5 for rows as well: row 6, which is not there
    assert half_mask(mask, (4, 4)).nonzero().tolist() == [[3, 3]]


def test_each_shot_counts_once():
    features = torch.zeros(2, 2, 1, 4)
    features[0, 0], features[1, 1] = 1, 1
    masks = torch.tensor([[[True] * 4], [[True, False, False, False]]])
    assert_near(insid3.prototype(features, masks), torch.tensor([0.5, 0.5]).sqrt(), 1e-6)
    masks[1] = False
    assert_near(insid3.prototype(features, masks), torch.tensor([1.0, 0.0]), 1e-6)


def test_of_two_shots_one_vote_is_enough():
    def shot(inside):
        return torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]), torch.tensor([[[inside, not inside]]])

    query = torch.tensor([[[1.0]], [[0.0]]])  # like the first cell of every shot
    for answers, expected in (((True, False), True), ((True, False, False), False)):
        supports, masks = zip(*map(shot, answers), strict=True)
        chosen = insid3.candidates(query, torch.cat(supports), torch.cat(masks), forward=False)
        assert chosen.votes.item() == 1 and chosen.both.item() is expected


def test_where_nothing_is_positive_the_upper_tenth_is_taken():
    values = torch.linspace(-1, -0.1, 20)
    similarity, chosen = insid3.forward_candidates(values.view(1, 4, 5), torch.ones(1))
    quantile = np.quantile(values.numpy(), 0.9)
    assert torch.equal(chosen, similarity > quantile) and chosen.sum() == 2


def test_no_candidates_give_an_empty_mask():
    plain, labels = plain_features(torch.randn(4, 3, 3)), torch.arange(9).view(3, 3)
    nobody = torch.zeros(3, 3, dtype=torch.bool)
    merged = insid3.aggregate(plain, plain, labels, nobody, F.normalize(torch.randn(4), dim=0))
    assert merged.seed is None and not merged.selected.any()
    assert (insid3.margin(merged, labels, 0.2) == -0.2).all()


def two_clusters(cross):
    """A seed cluster and one beside it, both with candidates; the seed's cosine is `cross`."""
    angle = torch.tensor(cross).acos()
    cells = torch.stack([angle.cos(), angle.sin()])[:, None, None].expand(2, 1, 2).clone()
    cells[:, 0, 1] = torch.tensor([0.0, -1.0])
    labels, chosen = torch.tensor([[0, 1]]), torch.tensor([[True, False]])
    return cells, labels, chosen, torch.tensor([1.0, 0.0])


def test_the_seed_itself_can_be_dropped():
    cells, labels, chosen, prototype = two_clusters(0.15)
    merged = insid3.aggregate(cells, cells, labels, chosen, prototype, alpha=0.2)
    assert merged.seed == 0 and chosen.any() and not merged.selected.any()
    assert insid3.aggregate(cells, cells, labels, chosen, prototype, alpha=0.1).selected[0]


def test_alpha_itself_is_kept_only_by_the_paper():
    cells, labels, chosen, prototype = two_clusters(0.25)
    alpha = float(insid3.aggregate(cells, cells, labels, chosen, prototype).score[0])
    for strict in (True, False):
        merged = insid3.aggregate(
            cells, cells, labels, chosen, prototype, alpha=alpha, strict=strict
        )
        assert bool(merged.selected[0]) is not strict
        assert bool(insid3.margin(merged, labels, alpha, strict)[0, 0] > 0) is not strict


def test_the_area_weight_is_a_switch():
    torch.manual_seed(0)
    cells = plain_features(torch.rand(4, 2, 4))
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    chosen = torch.zeros(2, 4, dtype=torch.bool)
    chosen[:, 0], chosen[0, 2] = True, True
    about = (cells, cells, labels, chosen, F.normalize(torch.ones(4), dim=0))
    weighted, plain = insid3.aggregate(*about), insid3.aggregate(*about, area_weight=False)
    other = 1 - weighted.seed
    torch.testing.assert_close(weighted.score[other], plain.score[other] * weighted.share[other])
    assert weighted.share[weighted.seed] == 1


def test_clusters_come_from_all_pairs_however_far_apart():
    features = torch.zeros(3, 1, 5)
    features[0, 0, [0, 4]], features[1, 0, [1, 2, 3]] = 1, 1
    labels = agglomerate(features)[0]
    assert labels.tolist() == [0, 1, 1, 1, 0]


def test_the_tree_is_cut_by_the_number_of_merges_at_the_height_or_above():
    torch.manual_seed(1)
    features = torch.randn(6, 5, 5)
    tree = merge_tree(cosine_distances(features))
    for tau in (0.1, 0.5, 0.9):
        labels = cut_tree(tree, 1 - tau)
        count = 1 + int((tree[:, 2] >= 1 - tau).sum())
        assert labels.max() + 1 == count
        expected = torch.from_numpy(fcluster(tree, count, "maxclust"))
        assert same_partition(torch.from_numpy(labels), expected)
    assert agglomerate(torch.randn(4, 1, 1)).tolist() == [[0]]


def test_edges_are_rounded_twice():
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[1:3, 1:3] = True
    twice = insid3.official_edges(cells, 16, (30, 20))
    square = F.interpolate(cells[None, None].float(), (16, 16), mode="bilinear")
    single = F.interpolate((square > 0.5).float(), (30, 20), mode="bilinear")[0, 0] > 0.5
    assert torch.equal(twice, single)
