"""Masked average pooling, FEM grids and losses."""

import pytest
import torch
from golden import golden

from fsslib.layers.fem import FeatureEnrichment
from fsslib.layers.losses import dice_loss, picture_losses, segmentation_loss
from fsslib.layers.prototype import masked_average


@pytest.mark.parametrize("name", ["pi_clip/weighted_gap", "qgnet/weighted_gap"])
def test_masked_average_equals_weighted_gap(name):
    case = golden(name)
    out = masked_average(case["feat"], case["mask"])
    torch.testing.assert_close(out, case["out"], atol=1e-6, rtol=0)


def test_fem_scales_may_be_sizes_or_fractions():
    query, prototype, prior = (
        torch.randn(2, 4, 12, 12),
        torch.randn(2, 4, 1, 1),
        torch.rand(2, 1, 12, 12),
    )
    fractions = FeatureEnrichment(4, maps=1, scales=(1, 0.5, 0.25)).eval()
    sizes = FeatureEnrichment(4, maps=1, scales=(12, 6, 3)).eval()
    sizes.load_state_dict(fractions.state_dict())
    enriched, inner = fractions(query, prototype, prior)
    same, _ = sizes(query, prototype, prior)
    assert [tuple(logits.shape[-2:]) for logits in inner] == [(12, 12), (6, 6), (3, 3)]
    torch.testing.assert_close(enriched, same)


def test_fem_refuses_an_impossible_scale():
    with pytest.raises(ValueError, match="scales"):
        FeatureEnrichment(4, maps=1, scales=(1, 0))


def test_loss_ignores_255():
    logits, mask = torch.randn(1, 2, 4, 4), torch.randint(2, (1, 4, 4), dtype=torch.uint8)
    mask[0, :2] = 255
    changed = logits.clone()
    changed[:, :, :2] += 5
    for name in ("cross_entropy", "cross_entropy_dice"):
        same = segmentation_loss(changed, mask, name)
        torch.testing.assert_close(segmentation_loss(logits, mask, name), same)


def test_dice_is_zero_for_a_perfect_prediction_and_high_for_the_opposite():
    mask = torch.zeros(1, 8, 8, dtype=torch.int64)
    mask[0, 2:6, 2:6] = 1
    right = torch.stack([1 - mask, mask], 1) * 40.0
    assert dice_loss(right, mask) < 1e-4
    assert dice_loss(-right, mask) > 0.9


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_dice"])
def test_losses_of_pictures_are_those_of_each_alone(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 5, 6, generator=generator)
    masks = torch.tensor([0, 1, 255])[torch.randint(3, (3, 5, 6), generator=generator)].byte()
    alone = [segmentation_loss(logits[i : i + 1], masks[i : i + 1], name) for i in range(3)]
    torch.testing.assert_close(picture_losses(logits, masks, name), torch.stack(alone))
    assert picture_losses(logits, torch.full_like(masks, 255), name).tolist() == [0, 0, 0]
