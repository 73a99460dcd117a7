"""Stand-ins for SAM: a mask a point, which holds the point."""

import numpy as np
import pytest
import torch

from fsslib.priors.agglomerative import agglomerate
from fsslib.priors.point_masks import cluster_masks, stands_out, superpixel_masks


@pytest.fixture(scope="module")
def picture():
    """A bright disc on a dark ground, a little noisy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :80]
    disc = (x - 50) ** 2 + (y - 30) ** 2 < 15**2
    image = np.where(disc[..., None], [200, 60, 40], [30, 40, 60]) + rng.normal(0, 4, (60, 80, 3))
    image = torch.from_numpy(image.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    return image, torch.from_numpy(disc)


def test_a_superpixel_holds_its_point_and_finds_the_disc(picture):
    image, disc = picture
    points = torch.tensor([[50, 30], [0, 0], [79, 59], [45, 25]])
    masks = superpixel_masks(image)(points)
    assert masks.shape == (4, 60, 80) and masks.dtype == torch.bool
    assert all(mask[y, x] for mask, (x, y) in zip(masks, points.tolist(), strict=True))
    shared = (masks[0] & disc).sum() / (masks[0] | disc).sum()
    assert shared > 0.9
    assert superpixel_masks(image)(points[:0]).shape == (0, 60, 80)


def test_what_stands_out_is_the_jump_at_the_border_over_the_own_spread():
    labels = np.zeros((4, 6), int)
    labels[:, 3:] = 1
    colours = np.zeros((4, 6, 3))
    colours[:, 3:, 0] = 30.0
    assert np.allclose(stands_out(labels, colours), 30 / 5)
    colours[0, 0, 1] = 24.0  # spread in the first segment
    contrast = stands_out(labels, colours)
    assert (contrast[:, :3] < contrast[:, 3:]).all()
    assert not stands_out(np.zeros((4, 6), int), colours).any()  # nothing outside


def test_a_cluster_is_that_of_the_points_cell():
    torch.manual_seed(0)
    features = torch.randn(4, 5, 5)
    clusters = agglomerate(features, 0.3)
    points = torch.tensor([[0, 0], [49, 29], [25, 10]])
    masks = cluster_masks(features, (30, 50), 0.3)(points)
    for mask, (x, y) in zip(masks, points.tolist(), strict=True):
        assert mask[y, x]
        expected = clusters == clusters[y * 5 // 30, x * 5 // 50]
        assert torch.equal(mask[3::6, 5::10], expected)
