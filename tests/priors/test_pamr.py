"""PAMR by its formula, pixel by pixel, and what must hold of it."""

import pytest
import torch
from golden import assert_near

from fsslib.priors.pamr import pamr


def by_hand(image: torch.Tensor, maps: torch.Tensor, dilations: tuple[int, ...]) -> torch.Tensor:
    """One step, a pixel at a time."""
    (_, height, width), out = image.shape, torch.zeros_like(maps)
    for y in range(height):
        for x in range(width):
            places = [
                (min(max(y + d * i, 0), height - 1), min(max(x + d * j, 0), width - 1))
                for d in dilations
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            all_ = torch.stack([image[:, a, b] for a, b in places], 1)  # (3, 9 each)
            centre = [9 * k + 4 for k in range(len(dilations))]
            around = [k for k in range(len(places)) if k not in centre]
            spread = all_.std(1, keepdim=True)
            likeness = -(image[:, y, x, None] - all_).abs() / (1e-8 + 0.1 * spread)
            weights = likeness.mean(0)[around].softmax(0)
            for weight, k in zip(weights, around, strict=True):
                out[:, y, x] += weight * maps[:, places[k][0], places[k][1]]
    return out


@pytest.mark.parametrize("dilations", [(1,), (1, 3), (2, 4)])
def test_two_steps_are_the_formula(dilations):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 7, 9, generator=generator)
    maps = torch.rand(1, 2, 7, 9, generator=generator)
    one_step = by_hand(image[0], maps[0], dilations)
    assert_near(pamr(image, maps, 1, dilations)[0], one_step, 1e-5)
    two_steps = by_hand(image[0], one_step, dilations)
    assert_near(pamr(image, maps, 2, dilations)[0], two_steps, 1e-5)
    assert_near(pamr(255 * image, maps, 2, dilations)[0], two_steps, 1e-5)


def test_what_looks_alike_shares_its_map():
    image = torch.zeros(1, 3, 16, 16)
    image[..., 8:] = 200.0
    maps = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    maps[..., 8:] += 5
    smooth = pamr(image, maps, 10, (1, 2))
    assert smooth[..., :8].std() < 0.5 * maps[..., :8].std()
    assert smooth[..., :8].max() < 2 and smooth[..., 8:].min() > 4  # nothing leaks over the edge
    constant = pamr(image, torch.full((1, 1, 4, 4), 3.0), 5)
    assert_near(constant, torch.full((1, 1, 16, 16), 3.0), 1e-5)
    assert torch.equal(pamr(image, maps, 0), maps)
    with pytest.raises(ValueError, match="dilations"):
        pamr(image, maps, 1, ())
