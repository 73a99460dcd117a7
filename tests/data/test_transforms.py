"""Resizing against the released code; augmentation within its bounds."""

import numpy as np
import pytest
import torch
from golden import golden

from fsslib.data.transforms import (
    MEAN_COLOUR,
    Augmentation,
    fit_square,
    pad_to_square,
    padded_size,
    stretch_to_square,
)


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
    wanted = torch.nn.functional.interpolate(image[None], (16, 16), mode="bilinear")[0]
    assert torch.equal(out, wanted) and label.shape == (16, 16)


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


@pytest.mark.parametrize("last", ["crop", "resize"])
@pytest.mark.parametrize("shape", [(30, 50), (80, 41)])
def test_augmentation_is_deterministic_and_keeps_the_object(last, shape):
    augmentation = Augmentation(last=last)
    image = torch.randint(256, (3, *shape), dtype=torch.uint8)
    label = torch.zeros(shape, dtype=torch.uint8)
    label[10:20, 12:24] = 1
    for seed in range(20):
        out = augmentation(image, label, 33, np.random.default_rng(seed))
        again = augmentation(image, label, 33, np.random.default_rng(seed))
        assert all(torch.equal(a, b) for a, b in zip(out, again, strict=True))
        assert out[0].shape == (3, 33, 33) and out[0].dtype == torch.uint8
        assert set(out[1].unique().tolist()) <= {0, 1, 255}
        assert (out[1] == 1).any()


def test_augmentation_pads_with_the_mean_colour_and_255():
    still = Augmentation(scale=(1, 1), rotate_probability=0, blur_probability=0, flip_probability=0)
    image = torch.zeros(3, 9, 9, dtype=torch.uint8)
    label = torch.ones(9, 9, dtype=torch.uint8)
    out, out_label = still(image, label, 33, np.random.default_rng(0))
    assert out[:, 0, 0].tolist() == list(MEAN_COLOUR) and out_label[0, 0] == 255
    assert (out_label == 1).sum() == 81


def test_a_photograph_much_larger_than_the_crop_keeps_its_object():
    image = torch.zeros(3, 300, 400, dtype=torch.uint8)
    label = torch.zeros(300, 400, dtype=torch.uint8)
    label[50:250, 80:300] = 1  # a third of the photograph
    for seed in range(20):
        _, cut = Augmentation()(image, label, 65, np.random.default_rng(seed))
        assert (cut == 1).float().mean() > 0.2


@pytest.mark.parametrize("label_of_it", [1, 2])
def test_crops_keep_the_objects_of_every_class(label_of_it):
    image = torch.zeros(3, 65, 90, dtype=torch.uint8)
    label = torch.zeros(65, 90, dtype=torch.uint8)
    label[20:50, 64:89] = label_of_it
    still = Augmentation((1.0, 1.0), rotate_probability=0.0, flip_probability=0.0)
    for seed in range(20):
        _, cut = still(image, label, 65, np.random.default_rng(seed))
        assert (cut == label_of_it).sum() >= 0.85 * 30 * 25
