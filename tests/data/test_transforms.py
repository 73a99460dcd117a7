"""Resizing against the released code."""

import pytest
import torch
from golden import golden

from fsslib.data.transforms import fit_square, pad_to_square, padded_size, stretch_to_square


def test_validation_resize_equals_the_released_code():
    case = golden("qgnet/val_resize")
    image, label = case["image"].permute(2, 0, 1), case["label"]
    out, out_label = pad_to_square(image, label, int(case["test_size"]))
    torch.testing.assert_close(out.permute(1, 2, 0), case["out_image"].float(), atol=1e-2, rtol=0)
    assert torch.equal(out_label.double(), case["out_label"])
    for height, width, size, new_height, new_width in case["table_h_w_size_newh_neww"].tolist():
        assert padded_size(height, width, size) == (new_height, new_width)


def test_stretch_equals_bilinear_without_antialiasing():
    image = torch.rand(3, 20, 30)
    out, label = stretch_to_square(image, torch.zeros(20, 30, dtype=torch.uint8), 16)
    expected = torch.nn.functional.interpolate(image[None], (16, 16), mode="bilinear")[0]
    assert torch.equal(out, expected) and label.shape == (16, 16)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_a_picture_of_the_right_size_is_left_alone(fit):
    image, label = torch.randint(256, (3, 33, 33), dtype=torch.uint8), torch.zeros(33, 33).byte()
    out, out_label = fit_square(image, label, 33, fit)
    assert torch.equal(out, image) and torch.equal(out_label, label)


def test_padding_is_black_and_ignored():
    image = torch.full((3, 20, 40), 200, dtype=torch.uint8)
    out, label = pad_to_square(image, torch.ones(20, 40, dtype=torch.uint8), 41)
    # 20.5 and 41 are floored to multiples of 8.
    assert (out[:, :16, :40] == 200).all()
    assert (out[:, 16:] == 0).all() and (out[..., 40:] == 0).all()
    assert (label[:16, :40] == 1).all()
    assert (label[16:] == 255).all() and (label[:, 40:] == 255).all()
