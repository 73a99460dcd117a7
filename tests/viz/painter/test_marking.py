"""Masks painted on an enlarged picture, at a network's size."""

import numpy as np
import pytest
import torch

from fsslib.viz.painter import marked, paint_on


def test_a_small_picture_is_painted_on_large():
    picture = torch.randint(0, 256, (3, 97, 97), dtype=torch.uint8)
    mask = torch.zeros(97, 97, dtype=torch.uint8)
    mask[20:60, 30:80] = 1
    painter = paint_on(picture, mask, description="support")
    assert painter.picture.shape == (388, 388, 3) and painter.description == "support"
    back = marked(painter.mask, (97, 97))[0, 0]
    assert (back.round() != mask).float().mean() < 0.005, "but for the corners"
    assert not paint_on(picture).mask.any()


def test_marked_is_the_share_of_every_cell():
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :4], mask[4:6, 4:], mask[0, 7] = 1, 1, 255
    torch.testing.assert_close(marked(mask, (2, 2))[0, 0], torch.tensor([[1.0, 0.0], [0.0, 0.5]]))
    with pytest.raises(ValueError, match="Nothing is marked"):
        marked(np.full((8, 8), 255, np.uint8), (2, 2))
