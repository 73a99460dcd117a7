"""Connected pieces of masks, against scipy's and where they are hardest to follow."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from virtual_device import DEVICE, VirtualDevice

from fsslib.priors.components import components


def spiral(side: int) -> torch.Tensor:
    """One line that winds to the middle, an empty line beside it all the way."""
    mask, (row, column), (down, right) = np.zeros((side, side), bool), (0, 0), (0, 1)
    mask[0, 0] = True
    for length in [side - 1, *(n for n in range(side - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            row, column = row + down, column + right
            mask[row, column] = True
        down, right = right, -down
    return torch.from_numpy(mask)


def first_cells(mask: np.ndarray) -> np.ndarray:
    """Each piece's first cell by scipy, its own number outside the mask."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    cells = np.arange(mask.size).reshape(mask.shape)
    firsts = np.array([0, *(cells[labels == piece].min() for piece in range(1, count + 1))])
    return np.where(mask, firsts[labels], cells)


def masks_of(side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(side)
    random = [torch.rand(side, side, generator=generator) < share for share in (0.2, 0.4, 0.7)]
    comb = torch.zeros(side, side, dtype=torch.bool)
    comb[:, ::2] = comb[-1] = True
    empty = torch.zeros(side, side, dtype=torch.bool)
    return torch.stack([*random, spiral(side), spiral(side).flip(0, 1), comb, empty, ~empty])


@pytest.mark.parametrize("side", [4, 13, 32])
def test_pieces_are_scipys(side):
    masks = masks_of(side)
    expected = np.stack([first_cells(mask.numpy()) for mask in masks])
    assert np.array_equal(components(masks).numpy(), expected)


@pytest.mark.parametrize("side", [4, 13, 32])
def test_a_device_makes_enough_rounds_without_asking(side):
    masks = masks_of(side)
    with VirtualDevice() as log:
        labels = components(masks.to(DEVICE, non_blocking=True))
        assert not log.waits, log.table()
        assert torch.equal(labels.cpu(), components(masks))
