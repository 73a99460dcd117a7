"""Masks brought down by the transpose of enlarging: the same means, nothing enlarged."""

import pytest
import torch
import torch.nn.functional as F
from stand_ins import random_episodes, tiny_backbone
from torch.utils._python_dispatch import TorchDispatchMode

from fsslib.layers.resize import spread
from fsslib.methods.panet import PANet, averages


@pytest.mark.parametrize(
    ("grid", "size"), [((5, 7), (33, 50)), ((1, 3), (8, 8)), ((9, 9), (9, 9)), ((12, 6), (7, 4))]
)
def test_a_mean_under_spread_masks_is_that_of_enlarged_features(grid, size):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(3, 4, *grid, generator=generator)
    masks = torch.rand(3, *size, generator=generator) > 0.6
    enlarged = F.interpolate(features, size, mode="bilinear", align_corners=False)
    down = spread(masks, grid)
    torch.testing.assert_close(down.sum((-2, -1)), masks.float().sum((-2, -1)))
    actual, expected = averages(features, down), averages(enlarged, masks)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)


def test_it_is_the_transpose_of_enlarging():
    features = torch.rand(2, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    masks = torch.rand(2, 41, 40, dtype=torch.float64)
    full = F.interpolate(features, masks.shape[-2:], mode="bilinear", align_corners=False)
    (gradient,) = torch.autograd.grad((full[:, 0] * masks).sum(), features)
    torch.testing.assert_close(spread(masks, (6, 5)).double(), gradient[:, 0], atol=1e-4, rtol=1e-5)


def test_it_is_not_rounded_under_autocast():
    masks = torch.rand(2, 101, 101) > 0.5
    with torch.autocast("cpu", torch.bfloat16):
        down = spread(masks, (13, 13))
    assert down.dtype == torch.float32 and torch.equal(down, spread(masks, (13, 13)))


class Largest(TorchDispatchMode):
    """Notes the most numbers that one tensor holds."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor):
                self.numbers = max(self.numbers, value.numel())
        return out


def test_panet_never_holds_features_of_the_size_of_pictures():
    backbone, size, shot = tiny_backbone(), 97, 5
    method, episodes = PANet(backbone).train(), random_episodes(2, shot, size)
    enlarged = 2 * shot * backbone.channels[2] * size * size
    with Largest() as largest:
        sum(method.loss(method(episodes), episodes).values()).backward()
    assert 0 < largest.numbers < enlarged / 5
