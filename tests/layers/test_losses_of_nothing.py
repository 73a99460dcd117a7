"""A batch without a pixel that counts costs nothing, and teaches nothing."""

import pytest
import torch

from fsslib.layers.losses import (
    balanced_cross_entropy,
    dice_loss,
    distillation_loss,
    segmentation_loss,
)
from fsslib.training.pretraining.contrast import info_nce_of_known

IGNORED = torch.full((2, 6, 6), 255, dtype=torch.uint8)
LOSSES = {
    "cross_entropy": segmentation_loss,
    "cross_entropy_dice": lambda logits, mask: segmentation_loss(
        logits, mask, "cross_entropy_dice"
    ),
    "resized": lambda logits, mask: segmentation_loss(logits[..., :3, :3], mask),
    "dice": lambda logits, mask: dice_loss(logits, mask.long()),
    "balanced": balanced_cross_entropy,
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_is_all_255_gives_zero_with_a_gradient_of_zero(name):
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    loss = LOSSES[name](logits, IGNORED)
    assert loss == 0
    loss.backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_one_pixel_is_enough_to_learn_from(name):
    mask = IGNORED.clone()
    mask[1, 2, 2] = 1
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    loss = LOSSES[name](logits, mask)
    loss.backward()
    assert loss > 0 and logits.grad.isfinite().all()
    if name != "resized":
        assert logits.grad[1, :, 2, 2].abs().sum() > 0 and logits.grad[0].abs().sum() == 0


def test_distillation_takes_255_for_background_and_stays_finite():
    maps = [torch.randn(2, side, side, requires_grad=True) for side in (3, 6)]
    distillation_loss(maps, IGNORED[:, :3, :3]).backward()
    assert all(part.grad.isfinite().all() for part in maps)


def test_queries_without_a_positive_cost_nothing():
    logits = torch.randn(4, 9, requires_grad=True)
    loss = info_nce_of_known(logits, torch.zeros(4, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    known = torch.tensor([True, False, True, False])
    loss = info_nce_of_known(logits, known)
    alone = info_nce_of_known(logits[known], torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(loss, alone)
