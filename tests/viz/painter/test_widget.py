"""The painter's Python side: masks in and out, whatever is given."""

import base64
import io

import numpy as np
import pytest
import torch
from ipywidgets import FloatSlider
from PIL import Image
from traitlets import TraitError

import fsslib.viz
from fsslib.viz.explorer import explorer
from fsslib.viz.painter import MaskPainter
from fsslib.viz.painter.runs import decode, encode
from fsslib.viz.plots import show_images

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def square(label=1):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 8:20] = label
    return mask


def from_browser(painter, mask):
    """What the widget does when the browser sends a finished stroke."""
    painter.set_state({"_runs": memoryview(encode(mask))})


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (20, 30), (97, 131)])
def test_runs_come_back_as_they_were(size):
    mask = np.random.default_rng(1).choice(np.array([0, 1, 2, 255], np.uint8), size)
    np.testing.assert_array_equal(decode(encode(mask), size), mask)
    assert len(encode(np.zeros(size, np.uint8))) == 8


def test_broken_runs_are_refused():
    whole = encode(np.zeros((4, 5), np.uint8))
    for runs in (whole[:-1], whole[:4], b"", whole + whole, b"\x00\x01\x00\x00" + whole[4:]):
        with pytest.raises(ValueError, match="expected"):
            decode(runs, (4, 5))


def test_a_stroke_arrives_once():
    painter, changes = MaskPainter(PICTURE), []
    painter.observe(lambda change: changes.append(change.new), "mask")
    from_browser(painter, square())
    from_browser(painter, square())
    np.testing.assert_array_equal(painter.mask, square())
    assert len(changes) == 1 and changes[0].dtype == np.uint8


def test_a_mask_is_set_and_cleared_from_python():
    painter = MaskPainter(PICTURE, labels=("cup", "pen"), unknown=True)
    mask = square(2)
    mask[0, 0] = 255
    painter.mask = mask
    np.testing.assert_array_equal(decode(painter._runs, (20, 30)), mask)
    mask[:] = 0  # a copy was taken
    assert (painter.mask == 2).sum() == 60
    with pytest.raises(ValueError, match="read-only"):
        painter.mask[0, 0] = 1
    painter.mask = torch.from_numpy(square()).bool()
    assert painter.mask.dtype == np.uint8 and painter.mask.sum() == 60
    painter.clear()
    assert not painter.mask.any()


def test_in_an_explorer_it_is_a_control():
    drawn = []

    def draw(mask, threshold):
        drawn.append((int(mask.sum()), threshold))
        return show_images([PICTURE, mask.astype(float)], ["picture", "mask"])

    painter = MaskPainter(PICTURE, mask=square())
    box = explorer(draw, mask=painter, threshold=FloatSlider(0.5))
    from_browser(painter, np.ones((20, 30), np.uint8))
    painter.value = square()
    assert drawn == [(60, 0.5), (600, 0.5), (60, 0.5)] and painter.mask.sum() == 60
    assert "image/jpeg" in box._repr_mimebundle_()[0]


def test_another_picture_is_another_map_even_with_as_many_pixels():
    painter = MaskPainter(PICTURE, mask=square())
    painter.picture = PICTURE.transpose(1, 0, 2)
    assert painter.mask.shape == (30, 20) == painter._size and not painter.mask.any()
    np.testing.assert_array_equal(
        np.array(Image.open(io.BytesIO(painter._picture))), painter.picture
    )
    blank = MaskPainter(PICTURE)
    blank.picture = PICTURE.transpose(1, 0, 2)
    assert blank.mask.shape == (30, 20)


def test_a_stroke_that_comes_after_its_picture_has_gone_changes_nothing():
    painter = MaskPainter(PICTURE)
    painter.picture = PICTURE[:10]
    painter.mask = square()[:10]
    from_browser(painter, np.ones((20, 30), np.uint8))
    np.testing.assert_array_equal(painter.mask, square()[:10])
    assert painter._runs == encode(painter.mask), "the browser is told"


@pytest.mark.parametrize(
    "picture",
    [torch.from_numpy(PICTURE).permute(2, 0, 1), Image.fromarray(PICTURE), PICTURE],
    ids=["tensor", "PIL", "array"],
)
def test_pictures_of_every_kind(picture):
    np.testing.assert_array_equal(MaskPainter(picture).picture, PICTURE)
    assert MaskPainter(PICTURE[..., 0]).picture.shape == PICTURE.shape


def test_the_browser_gets_no_larger_picture_than_it_can_show():
    painter = MaskPainter(np.zeros((3000, 1000, 3), np.uint8))
    sent = Image.open(io.BytesIO(painter._picture))
    assert sent.format == "JPEG" and max(sent.size) <= 2048
    assert painter.mask.shape == (3000, 1000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"picture": PICTURE.astype(float)}, "expected uint8"),
        ({"picture": PICTURE[..., :2]}, "expected uint8"),
        ({"mask": square()[:10]}, "differ in size"),
        ({"mask": square() * 0.5}, "use mask > 0.5"),
        ({"mask": square(7)}, "labels up to 1"),
        ({"labels": ()}, "give a name"),
    ],
)
def test_bad_input_takes_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskPainter(**({"picture": PICTURE} | arguments))


def test_bad_masks_leave_the_old_one():
    painter = MaskPainter(PICTURE, mask=square())
    for mask in (square(3), square().T):
        with pytest.raises(ValueError, match="mask"):
            painter.mask = mask
    with pytest.raises(TraitError):
        painter.tool = "hammer"
    np.testing.assert_array_equal(painter.mask, square())


def test_without_a_kernel_stands_a_picture():
    painter = MaskPainter(PICTURE, mask=square())
    data, _ = painter._repr_mimebundle_()
    shown = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert shown.size == (480, 320)
    assert data["text/plain"] == "MaskPainter: a picture of 30 by 20 pixels, 60 marked"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_it_is_imported_when_it_is_asked_for():
    assert fsslib.viz.MaskPainter is MaskPainter
    with pytest.raises(AttributeError, match="no attribute 'MaskBrush'"):
        _ = fsslib.viz.MaskBrush
