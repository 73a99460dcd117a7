"""Pictures and masks as people have them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fsslib.config import ConfigError
from fsslib.data.benchmark import BrokenFileError
from fsslib.own_pictures.masks import as_mask
from fsslib.own_pictures.pictures import Picture, as_picture, picture_files

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURE = Picture(PIXELS, "support 0")
GREY = np.repeat(PIXELS[..., :1], 3, 2)
SHAPE = np.zeros((20, 30), bool)
SHAPE[4:12, 6:18] = True


@pytest.fixture
def saved(tmp_path):
    def save(picture: Image.Image, name: str, **options) -> Path:
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PIXELS, PIXELS),
        (Image.fromarray(PIXELS), PIXELS),
        (torch.from_numpy(PIXELS).permute(2, 0, 1), PIXELS),
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS / 255, PIXELS),
        (PIXELS[..., 0].astype(np.uint16) * 257, GREY),
        (PIXELS[..., 0], GREY),
        (PIXELS[..., :1], GREY),
        (np.dstack([PIXELS, PIXELS[..., 0]]), PIXELS),
        (Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), GREY),
        (Image.fromarray(PIXELS).convert("RGBA"), PIXELS),
    ],
)
def test_arrays_and_pictures_of_any_kind(value, expected):
    np.testing.assert_array_equal(as_picture(value, "query").pixels, expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_files_of_any_kind(saved, mode):
    picture = Image.fromarray(PIXELS).convert(mode)
    path = saved(picture, f"{mode}.png")
    for value in (path, str(path), path.as_uri()):
        np.testing.assert_array_equal(
            as_picture(value, "query").pixels, np.array(picture.convert("RGB"))
        )


def test_cmyk_is_read(saved):
    path = saved(Image.fromarray(PIXELS).convert("CMYK"), "print.jpg")
    assert as_picture(path, "query").pixels.shape == (20, 30, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_shown_upright_and_its_mask_goes_with_it(saved, orientation):
    """Stored turned, as telephones do; masks painted on either are the same."""
    stored = {1: lambda p: p} | {n: _undo(n) for n in range(2, 9)}
    upright = Image.fromarray(PIXELS)
    path = saved(stored[orientation](upright), "photo.png", exif=exif(orientation))
    picture = as_picture(path, "query")
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    np.testing.assert_array_equal(as_mask(SHAPE, picture, "m"), SHAPE)
    if orientation > 4:  # the sizes tell which of the two it was painted on
        mask = np.array(stored[orientation](Image.fromarray(SHAPE.astype(np.uint8))))
        np.testing.assert_array_equal(as_mask(mask, picture, "m"), SHAPE)


def _undo(orientation: int):
    """What a camera did to an upright picture that it stores with this orientation."""
    T = Image.Transpose
    inverse = {
        **{2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE},
        **{6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270},
    }
    return lambda picture: picture.transpose(inverse[orientation])


def colours() -> Image.Image:
    """A mask whose palette is of colours, none of them grey; the background is black."""
    picture = Image.fromarray(SHAPE.astype(np.uint8))
    picture.putpalette([0, 0, 0, 200, 30, 255])
    return picture


def cut_out() -> Image.Image:
    return Image.fromarray(np.dstack([PIXELS, 255 * SHAPE.astype(np.uint8)]))


@pytest.mark.parametrize(
    "value",
    [
        SHAPE,
        SHAPE.astype(np.uint8),
        255 * SHAPE.astype(np.uint8),
        SHAPE.astype(float),
        SHAPE.astype(np.int64)[..., None],
        torch.from_numpy(SHAPE),
        np.repeat(255 * SHAPE.astype(np.uint8)[..., None], 3, 2),
        Image.fromarray(SHAPE),
        colours(),
        cut_out(),
        (6, 4, 18, 12),
        [6.0, 4.0, 18.0, 12.0],
        np.array([6, 4, 18, 12]),
        [(6, 4), (18, 4), (18, 12), (6, 12)],
        np.array([(6, 4), (18, 4), (18, 12), (6, 12)]),
        [[(6, 4), (12, 4), (12, 12), (6, 12)], [(12, 4), (18, 4), (18, 12), (14, 12), (12, 12)]],
    ],
)
def test_masks_of_any_kind(value):
    np.testing.assert_array_equal(as_mask(value, PICTURE, "support 0"), SHAPE)


def test_soft_edges_and_unknown_pixels():
    soft = 255 * SHAPE.astype(np.uint8)
    soft[3, 6:10], soft[4, 6:10] = 90, 180
    np.testing.assert_array_equal(as_mask(soft, PICTURE, "m"), SHAPE)
    border = SHAPE.astype(np.uint8)
    border[0] = 255
    np.testing.assert_array_equal(as_mask(border, PICTURE, "m"), border)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((20, 30)), "shows no object"),
        (SHAPE[:10], "30 x 10 pixels, its picture 30 x 20"),
        (SHAPE * 3, r"holds \[0, 3\].*mask == 3"),
        ((6, 4, 6, 12), "box .* is empty"),
        ([(1, 2), (3, 4)], "three points"),
        ("nowhere.png", "missing"),
        (7, "expected a mask"),
        (np.zeros((20, 30, 7)), "shape"),
    ],
)
def test_masks_that_are_none(value, message):
    with pytest.raises((ValueError, BrokenFileError), match=message):
        as_mask(value, PICTURE, "support 0")


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (None, TypeError, "NoneType; expected a path"),
        ("nowhere.png", BrokenFileError, "missing"),
        ("https://example.org/a.png", ValueError, "another machine"),
        (np.zeros((3, 4, 5), np.uint8), ValueError, "shape"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "shape"),
        (np.full((4, 4), 4000, np.uint16), ValueError, "holds uint16"),
        (np.full((4, 4), 2.5), ValueError, "fractions from 0 to 1"),
        (np.full((4, 4), np.nan), ValueError, "fractions from 0 to 1"),
        ("~nosuchuser/x.png", ConfigError, "home folder"),
    ],
)
def test_pictures_that_are_none(value, kind, message):
    with pytest.raises(kind, match=message):
        as_picture(value, "query")


def test_a_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(ValueError, match="100000 x 100000 pixels"):
        as_picture(np.broadcast_to(np.uint8(0), (100_000, 100_000)), "query")


def test_folders_are_the_pictures_in_them(saved, tmp_path):
    paths = {saved(Image.fromarray(PIXELS), name) for name in ("b.png", "a.jpg")}
    (tmp_path / "notes.txt").write_text("no picture")
    assert set(picture_files([tmp_path])) == paths
    (tmp_path / "empty").mkdir()
    with pytest.raises(BrokenFileError, match="holds no pictures"):
        picture_files([tmp_path / "empty"])
