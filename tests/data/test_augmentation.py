"""One resampling against the released order of three; draws, padding, and what crops keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmentation_steps import in_steps
from skimage import data
from torch import Tensor

from fsslib.data.augmentation import Augmentation, Warp
from fsslib.data.rendering import MEAN_COLOUR, render, shrunk

STILL = {"scale": (1.0, 1.0), "rotate_probability": 0, "blur_probability": 0, "flip_probability": 0}


def augmented(
    augmentation: Augmentation, image: Tensor, label: Tensor, size: int, seed: int
) -> tuple[Tensor, Tensor, Warp]:
    warp = augmentation.draw(label, size, np.random.default_rng(seed))
    image, label = shrunk(image, label, warp.shrink)
    images, masks = render(image[None], label[None], [tuple(label.shape)], [warp], size)
    return images[0], masks[0], warp


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return torch.from_numpy(data.astronaut()[:375, :500].copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def label() -> Tensor:
    label = torch.zeros(375, 500, dtype=torch.uint8)
    label[60:250, 120:330], label[60:64, 120:330] = 1, 255
    return label


@pytest.mark.parametrize(
    ("changes", "grey_levels"),
    [
        (STILL, 0),
        ({"last": "crop"}, 0.5),
        ({"scale": (0.5, 2.0)}, 0.5),
        ({**STILL, "rotate_probability": 1}, 0.1),
        ({**STILL, "flip_probability": 1}, 0),
        ({**STILL, "blur_probability": 1}, 0.1),
        ({"last": "resize"}, 1.5),
        ({**STILL, "blur_probability": 1, "last": "resize"}, 0.5),
    ],
)
def test_one_resampling_shows_what_three_show(photograph, label, changes, grey_levels):
    augmentation = Augmentation(**changes)
    away, moved, ratios = [], [], []
    for seed in range(7):
        image, mask, _ = augmented(augmentation, photograph, label, 401, seed)
        expected, labels = in_steps(augmentation, photograph, label, 401, seed)
        away.append((image.float() - expected.float()).abs().mean())
        moved.append((mask != labels).float().mean())
        ratios.append(float((mask == 1).sum() / (labels == 1).sum()))
    assert np.median(away) <= grey_levels
    assert np.median(moved) <= (0 if changes == STILL else 0.008)  # a pixel along the borders
    assert np.median(ratios) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("last", ["crop", "resize"])
@pytest.mark.parametrize("shape", [(30, 50), (80, 41), (64, 64)])
def test_augmentation_is_deterministic_and_keeps_the_object(last, shape):
    augmentation = Augmentation(last=last)
    image = torch.randint(256, (3, *shape), dtype=torch.uint8)
    label = torch.zeros(shape, dtype=torch.uint8)
    label[10:20, 12:24] = 1
    for seed in range(20):
        out, mask, warp = augmented(augmentation, image, label, 33, seed)
        again, same, equal = augmented(augmentation, image, label, 33, seed)
        assert torch.equal(out, again) and torch.equal(mask, same)
        assert hash(warp) == hash(equal) and warp == equal
        assert out.shape == (3, 33, 33) and out.dtype == torch.uint8
        assert set(mask.unique().tolist()) <= {0, 1, 255}
        assert (mask == 1).any()


def test_objects_are_not_lost_more_often_than_in_three_steps():
    """Small objects near the border of wide photographs, where crops miss them."""
    rng, losses = np.random.default_rng(0), np.zeros(2)
    image = torch.zeros(3, 60, 97, dtype=torch.uint8)
    for seed in range(200):
        label = torch.zeros(60, 97, dtype=torch.uint8)
        top, left = rng.integers((52, 89))
        label[top : top + 8, left : left + 8] = 1
        augmentation = Augmentation(crop_tries=2)
        _, mask, _ = augmented(augmentation, image, label, 65, seed)
        _, stepped = in_steps(augmentation, image, label, 65, seed)
        losses += [(mask == 1).sum() < 30, (stepped == 1).sum() < 30]
    assert losses[1] > 20  # two tries are not enough
    assert losses[0] <= losses[1] + 2


def test_padding_is_the_mean_colour_and_255_also_under_a_blur():
    for blur in (0, 1):
        still = Augmentation(**{**STILL, "blur_probability": blur})
        image = torch.zeros(3, 9, 9, dtype=torch.uint8)
        out, mask, _ = augmented(still, image, torch.ones(9, 9, dtype=torch.uint8), 33, 0)
        assert out[:, 0, 0].tolist() == list(MEAN_COLOUR) and mask[0, 0] == 255
        assert (mask == 1).sum() == 81
        assert (out[:, mask == 1] == 0).all()  # the padding did not bleed in


def test_what_rotation_moves_off_the_photograph_is_cut_off():
    turn = Augmentation(**{**STILL, "rotate_probability": 1, "degrees": 40.0})
    image = torch.full((3, 20, 60), 200, dtype=torch.uint8)
    label = torch.ones(20, 60, dtype=torch.uint8)
    _, mask, _ = augmented(turn, image, label, 65, 0)
    shown = mask.eq(1).nonzero()
    assert shown[:, 0].min() >= 22 and shown[:, 0].max() < 42  # the photograph's own rows, padded


def test_a_photograph_much_larger_than_the_crop_keeps_its_object():
    image = torch.zeros(3, 300, 400, dtype=torch.uint8)
    label = torch.zeros(300, 400, dtype=torch.uint8)
    label[50:250, 80:300] = 1  # a third of the photograph
    for seed in range(20):
        _, mask, _ = augmented(Augmentation(), image, label, 65, seed)
        assert (mask == 1).float().mean() > 0.2


def test_shrinking_photographs_averages_instead_of_skipping():
    """Lines of one pixel: sampled, they would be black or white."""
    image = torch.zeros(3, 400, 400, dtype=torch.uint8)
    image[:, :, ::2] = 200
    label = torch.zeros(400, 400, dtype=torch.uint8)
    label[100:300, 100:300] = 1
    still = Augmentation(**{**STILL, "last": "resize"})
    out, mask, warp = augmented(still, image, label, 50, 0)
    assert warp.shrink > 1
    assert (out.float() - 100).abs().max() <= 15  # squares of 7 hold 3 or 4 of the lines
    assert (mask == 1).sum() == pytest.approx(2500 / 4, rel=0.1)


@pytest.mark.parametrize("value", [1, 2])
def test_crops_keep_the_objects_of_every_class(value):
    image = torch.zeros(3, 65, 90, dtype=torch.uint8)
    label = torch.zeros(65, 90, dtype=torch.uint8)
    label[20:50, 64:89] = value
    still = Augmentation(**{**STILL, "blur_probability": 1})
    for seed in range(20):
        _, mask, _ = augmented(still, image, label, 65, seed)
        assert (mask == value).sum() >= 0.85 * 30 * 25


def test_a_batch_renders_as_its_photographs_do_alone(photograph, label):
    """Padding to the largest of a batch changes nothing, nor does another one's blur."""
    pairs = [(photograph, label), (photograph[:, :200, :300], label[:200, :300])] * 5
    augmentation = Augmentation()
    warps = [
        augmentation.draw(label, 97, np.random.default_rng(seed))
        for seed, (_, label) in enumerate(pairs)
    ]
    alone, parts = [], []
    for (image, mask), warp in zip(pairs, warps, strict=True):
        image, mask = shrunk(image, mask, warp.shrink)
        parts.append((image, mask))
        alone.append(render(image[None], mask[None], [tuple(mask.shape)], [warp], 97))
    height, width = (max(mask.shape[dim] for _, mask in parts) for dim in (0, 1))
    images = torch.full((10, 3, height, width), 7, dtype=torch.uint8)
    masks = torch.full((10, height, width), 7, dtype=torch.uint8)
    for number, (image, mask) in enumerate(parts):
        images[number, :, : mask.shape[0], : mask.shape[1]] = image
        masks[number, : mask.shape[0], : mask.shape[1]] = mask
    shapes = [tuple(mask.shape) for _, mask in parts]
    together = render(images, masks, shapes, warps, 97)
    for number, (image, mask) in enumerate(alone):
        assert (together[0][number].int() - image[0].int()).abs().max() <= 1  # rounding
        assert (together[1][number] != mask[0]).float().mean() < 0.001
