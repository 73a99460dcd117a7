"""Seeds, rectification and clustering: against ASGNet's own numbers and against what must hold."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import golden, prefixed
from scipy.ndimage import distance_transform_edt

from fsslib.layers import clustering
from fsslib.layers.clustering import (
    ABSENT,
    association,
    cluster,
    distributed_prototypes,
    place_seeds,
    rectify_seeds,
    seed_count,
)
from fsslib.layers.prototype import masked_average

SEEDS = golden("lfss/asgnet_seeds")
CASES = sorted({key.split("__")[0] for key in SEEDS})


@pytest.mark.parametrize("case", CASES)
def test_seeds_are_asgnets(case):
    """Exact, border quirk included. Its unused rows are (0, 0), ours (-1, -1)."""
    recorded = prefixed(SEEDS, f"{case}__")
    stride, most, area = (int(value) for value in recorded["kw"])
    side = [(length - 1) // stride + 1 for length in recorded["mask"].shape]
    small = F.interpolate(recorded["mask"][None, None].float(), side)[:, 0]  # nearest
    seeds = place_seeds(small, most, area, official_border=True)[0]
    torch.testing.assert_close(seeds.clamp(min=0), recorded["seeds"])


@pytest.mark.parametrize(
    ("area", "count"), [(0, 0), (149, 0), (150, 2), (250, 2), (251, 3), (449, 4), (9999, 5)]
)
def test_halves_round_to_even_and_one_seed_is_none(area, count):
    assert seed_count(area) == count


def test_seeds_stay_off_the_border():
    """Beyond the picture is background as well, so that no seed of a full mask is in a corner."""
    full = torch.ones(1, 21, 21)
    assert place_seeds(full)[0, 0].tolist() == [10, 10]
    official = place_seeds(full, official_border=True)[0, 0].tolist()
    assert official == [20, 20]
    two = torch.zeros(1, 20, 30)
    two[:, 2:12, 3:13] = two[:, 5:15, 16:26] = 1
    rows, columns = place_seeds(two)[0, :2].T.tolist()
    assert (np.array(columns) < 14).sum() == 1, "one seed in each part"
    assert two[0, rows, columns].all()


def farthest(mask: np.ndarray, count: int, official_border: bool) -> np.ndarray:
    """Seeds by scipy's distance transform, one mask at a time."""
    rows, columns = np.nonzero(mask)
    corner = np.array([rows.min(), columns.min()])
    inside = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].copy()
    if not official_border:
        inside, corner = np.pad(inside, 1), corner - 1
    seeds = []
    for _ in range(count):
        seeds.append(np.unravel_index(distance_transform_edt(inside).argmax(), inside.shape))
        inside[seeds[-1]] = False
    return np.array(seeds) + corner


@pytest.mark.parametrize("official_border", [False, True])
def test_seeds_of_a_batch_are_scipys(official_border):
    """Blobs, frames, full pictures and boxes; ties go to the first cell."""
    generator = torch.Generator().manual_seed(0)
    for height, width in ((5, 9), (13, 13), (30, 21)):
        noise = torch.rand(6, 1, height + 4, width + 4, generator=generator)
        blobs = F.avg_pool2d(noise, 5, 1)[:, 0]
        masks = (blobs > blobs.flatten(1).quantile(0.4, 1)[:, None, None]).float()
        masks[0] = 1
        masks[1] = 0
        masks[1, 1:4, 2:5] = 1
        masks[2, 2:-2, 2:-2] = 0
        placed = place_seeds(masks, 5, 2, official_border)
        for mask, seeds in zip(masks, placed, strict=True):
            count = seed_count(int(mask.sum()), 2, 5)
            expected = farthest(mask.numpy() == 1, count, official_border)
            assert seeds[:count].tolist() == expected.tolist()
            assert (seeds[count:] == ABSENT).all()


def test_soft_borders_and_small_objects_have_no_seeds():
    masks = torch.zeros(2, 20, 20)
    masks[0, 3:18, 3:18] = 0.99
    masks[1, 3:12, 3:12] = 1
    assert (place_seeds(masks) == ABSENT).all()


def test_a_seed_at_the_first_cell_counts():
    """ASGNet's code counts seeds by their coordinates and loses this one."""
    seeds = torch.tensor([[[0, 0], [2, 2], [ABSENT, ABSENT]]])
    features = torch.rand(1, 4, 5, 5)
    centres = cluster(features, torch.ones(1, 5, 5), seeds, iterations=0)
    torch.testing.assert_close(centres[0, 0], features[0, :, 0, 0])
    assert centres[0, 2].abs().sum() == 0


@pytest.mark.parametrize("iterations", [1, 2, 5, 10])
def test_clusters_are_asgnets(iterations):
    recorded = golden("lfss/asgnet_sgc")
    clusters = cluster(
        recorded["feat"][None], recorded["mask"], recorded["seeds"][None], iterations
    )
    expected = recorded[f"center_iter{iterations}"].T[None]
    torch.testing.assert_close(clusters, expected, atol=1e-5, rtol=1e-5)


def test_clusters_of_other_inputs_are_asgnets():
    recorded = golden("lfss/asgnet_sgc")
    features, mask, seeds = recorded["feat"][None], recorded["mask"], recorded["seeds"][None]
    soft = cluster(features, recorded["softmask"], seeds, 5)
    torch.testing.assert_close(
        soft, recorded["center_softmask_iter5"].T[None], atol=1e-5, rtol=1e-5
    )
    small = cluster(features * recorded["small_scale"], mask, seeds, 5)
    torch.testing.assert_close(
        small, recorded["center_smallfeat_iter5"].T[None], atol=1e-5, rtol=1e-5
    )
    one = cluster(features, mask, seeds[:, :1], 5)
    torch.testing.assert_close(one, recorded["center_one_seed_iter5"].T[None], atol=1e-5, rtol=1e-5)
    average = masked_average(features, mask[None])
    torch.testing.assert_close(average, recorded["wgap_hard"], atol=1e-5, rtol=1e-5)


@pytest.fixture
def three_parts():
    """(1, 64, 30, 30) features of an object with three unlike parts, its mask and seeds."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(3, 64, generator=generator)
    which = torch.arange(30).repeat(30, 1) // 10
    features = parts[which].movedim(-1, 0)[None]
    features = features + 0.3 * torch.randn(features.shape, generator=generator)
    mask = torch.zeros(1, 30, 30)
    mask[:, 2:28, 1:29] = 1
    return features, mask, place_seeds(mask)


def mutual_cosine(prototypes):
    """Mean cosine between different prototypes of the first picture."""
    unit = F.normalize(prototypes[0], dim=-1)
    cosine = unit @ unit.T
    return cosine[~torch.eye(len(cosine), dtype=torch.bool)].mean().item()


def test_prototypes_stay_apart_at_natural_scale_and_collapse_at_a_small_one(three_parts):
    """The trap of clustering normalised features: nothing warns, and DPS is one mean again."""
    features, mask, seeds = three_parts
    natural = cluster(features, mask, seeds)
    assert mutual_cosine(natural) < 0.7
    assert mutual_cosine(cluster(0.05 * features, mask, seeds)) > 0.999
    unit = F.normalize(features, dim=1)
    assert mutual_cosine(cluster(unit, mask, seeds)) > 0.99


def test_a_batch_is_its_pictures_one_by_one(three_parts):
    features, mask, _ = three_parts
    smaller = mask.clone()
    smaller[:, 14:] = 0
    masks = torch.cat([mask, smaller, torch.zeros_like(mask)])
    features = torch.cat([features, 2 * features, features])
    together = distributed_prototypes(features, masks, place_seeds(masks), 5)
    for i in range(3):
        alone = distributed_prototypes(
            features[i : i + 1], masks[i : i + 1], place_seeds(masks[i : i + 1]), 5
        )
        torch.testing.assert_close(together[i], alone[0])


def test_small_objects_get_their_masked_average():
    features, mask = torch.rand(1, 8, 9, 9), torch.zeros(1, 9, 9)
    mask[:, 2:5, 3:7] = 1
    prototypes = distributed_prototypes(features, mask, place_seeds(mask), 5)
    torch.testing.assert_close(prototypes[:, 0], masked_average(features, mask[None])[:, :, 0, 0])
    assert prototypes[:, 1:].abs().sum() == 0
    scores = association(torch.rand(1, 8, 6, 6), prototypes)
    assert scores[:, 1:].abs().sum() == 0
    assert (scores[:, 0] > 0).all()


def test_rectification_follows_the_similarity():
    similarity = torch.zeros(1, 6, 6)
    similarity[0, 1, 2], similarity[0, 4, 4] = 1.0, 0.5
    seeds = torch.tensor([[[2, 1], [4, 4], [0, 3], [ABSENT, ABSENT]]])
    moved = rectify_seeds(seeds, similarity)[0]
    assert moved[0].tolist() == [1, 2], "the best cell of its window"
    assert moved[1].tolist() == [4, 4], "already there"
    assert moved[2].tolist() == [0, 2], "the best is taken; the first of equals"
    assert moved[3].tolist() == [ABSENT, ABSENT]
    torch.testing.assert_close(rectify_seeds(seeds, similarity, window=1), seeds)
    with pytest.raises(ValueError, match="window=2"):
        rectify_seeds(seeds, similarity, window=2)


def test_cells_outside_of_a_mask_do_not_count(monkeypatch):
    torch.manual_seed(0)
    masks = torch.zeros(3, 24, 24)
    masks[0, 2:22, 2:22], masks[1, 5:20, 4:20] = 1, 1  # the third is empty
    features, seeds = torch.rand(3, 6, 24, 24), place_seeds(masks)
    sparse = cluster(features, masks, seeds)
    assert sparse[:2, :2].abs().sum(-1).all() and not sparse[2].any()
    monkeypatch.setattr(clustering, "masked_cells", lambda _: None)
    torch.testing.assert_close(sparse, cluster(features, masks, seeds), atol=1e-5, rtol=1e-5)
