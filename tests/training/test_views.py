"""Views: colours are torchvision's, crops land where boxes say, draws follow the chain."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torchvision.transforms import RandomResizedCrop

from fsslib.training.colour import blur, grey, jitter
from fsslib.training.views import RATIO, ViewConfig, crop, draw, flip, random_boxes, recolour

OPERATIONS = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(6, 3, 20, 24, generator=generator)
    pictures[0, :, :4] = 0.5  # grey: no hue
    pictures[1, 0] = pictures[1, 1]  # two channels equal: ties of the largest
    return pictures


def test_jitter_is_torchvisions_in_each_pictures_own_order(pictures):
    rng = np.random.default_rng(0)
    factors = torch.from_numpy(rng.uniform(0.6, 1.4, (6, 4)).astype(np.float32))
    factors[:, 3] = torch.linspace(-0.1, 0.1, 6)
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(4), (6, 1)), axis=1))
    order[4] = -1
    actual = jitter(pictures, factors, order)
    for number, picture in enumerate(pictures):
        for kind in order[number].tolist():
            if kind >= 0:
                picture = OPERATIONS[kind](picture, float(factors[number, kind]))
        torch.testing.assert_close(actual[number], picture, atol=2e-5, rtol=0)
    assert torch.equal(actual[4], pictures[4])
    assert len({tuple(row) for row in order.tolist()}) > 3


def test_grey_where_chosen(pictures):
    chosen = torch.tensor([True, False] * 3)
    actual = grey(pictures, chosen)
    expected = TF.rgb_to_grayscale(pictures, 3)
    torch.testing.assert_close(actual[::2], expected[::2], atol=1e-4, rtol=0)
    assert torch.equal(actual[1::2], pictures[1::2])


def test_blur_is_torchvisions_away_from_the_border(pictures):
    sigma = torch.tensor([0.0, 0.1, 0.5, 1.0, 1.5, 2.0])
    actual = blur(pictures, sigma)
    assert torch.equal(actual[0], pictures[0])
    for number in range(1, 6):
        expected = TF.gaussian_blur(pictures[number], [19, 19], [float(sigma[number])])
        inner = (slice(None), slice(9, -9), slice(9, -9))
        torch.testing.assert_close(actual[number][inner], expected[inner], atol=1e-4, rtol=0)
    flat = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([2.0])), flat)


def test_crops_are_the_boxes_of_their_owners():
    pictures = torch.rand(2, 3, 16, 16)
    boxes = torch.tensor([[0.0, 0, 16, 16], [4, 2, 12, 10]])
    actual = crop(pictures, torch.tensor([1, 0]), boxes, 16)
    torch.testing.assert_close(actual[0], pictures[1])
    expected = torch.nn.functional.interpolate(
        pictures[:1, :, 1:11, 3:13], (20, 20), mode="bilinear", align_corners=False
    )[0, :, 2:-2, 2:-2]
    torch.testing.assert_close(actual[1], expected, atol=1e-5, rtol=0)
    halved = crop(pictures, torch.tensor([0]), boxes[:1], 8)
    torch.testing.assert_close(halved[0], torch.nn.functional.avg_pool2d(pictures[0], 2))


def test_boxes_are_distributed_as_torchvisions():
    regions = np.tile(np.array([[10, 20, 110, 80]], np.float32), (4000, 1))
    boxes = random_boxes(np.random.default_rng(0), regions, (0.2, 1.0))
    assert (boxes[:, :2] >= regions[:, :2] - 1e-3).all()
    assert (boxes[:, 2:] <= regions[:, 2:] + 1e-3).all()
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    torch.manual_seed(0)
    image = torch.zeros(1, 60, 100)
    theirs = [RandomResizedCrop.get_params(image, (0.2, 1.0), RATIO) for _ in range(4000)]
    theirs = np.array(theirs, float)  # top, left, height, width
    ours = np.stack([boxes[:, 1] - 20, boxes[:, 0] - 10, height, width], 1)
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 1.5
    assert np.abs(ours.std(0) - theirs.std(0)).max() < 1.5


def test_where_no_draw_fits_the_middle_is_taken():
    regions = np.array([[0, 0, 10, 100], [0, 0, 100, 10]], np.float32)
    boxes = random_boxes(np.random.default_rng(0), regions, (1.0, 1.0))
    tall, wide = boxes
    assert tall[0] == 0 and tall[2] == 10
    assert tall[3] - tall[1] == pytest.approx(10 / RATIO[0])
    assert tall[1] + tall[3] == pytest.approx(100) and wide[0] + wide[2] == pytest.approx(100)


def test_draws_keep_to_their_shares_and_ranges():
    regions = np.tile(np.array([[0, 0, 96, 96]], np.float32), (5000, 1))
    views = draw(np.random.default_rng(0), regions, ViewConfig(size=32))
    shares = {
        0.8: (views.order[:, 0] >= 0),
        0.2: views.grey,
        0.5: views.flipped,
    }
    for share, chosen in shares.items():
        assert chosen.float().mean().item() == pytest.approx(share, abs=0.03)
    assert (views.sigma > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    blurred = views.sigma[views.sigma > 0]
    assert blurred.min() >= 0.1 and 1.9 < blurred.max() <= 2.0
    assert views.factors[:, :3].min() >= 0.6 and views.factors[:, :3].max() <= 1.4
    assert 0.09 < views.factors[:, 3].abs().max() <= 0.1


def test_recoloured_crops_stay_in_range_and_a_plain_draw_changes_nothing(pictures):
    regions = np.tile(np.array([[0, 0, 24, 20]], np.float32), (6, 1))
    views = draw(np.random.default_rng(1), regions, ViewConfig())
    recoloured = recolour(pictures, views)
    assert recoloured.min() >= 0 and recoloured.max() <= 1 and not torch.equal(recoloured, pictures)
    plain = ViewConfig(jitter_share=0, grey_share=0, blur_share=0, flip_share=0)
    views = draw(np.random.default_rng(1), regions, plain)
    assert torch.equal(recolour(pictures, views), pictures)
    flipped = flip(pictures, torch.tensor([True] + [False] * 5))
    assert torch.equal(flipped[0], pictures[0].flip(-1))
    assert torch.equal(flipped[1:], pictures[1:])
