"""Reading pictures and label images of every kind."""

import numpy as np
import pytest
from hostile.pictures import EPS, deep, png
from PIL import Image

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.pictures import read_image, read_indices, voc_palette


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("1", "png")]
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (7, 5), (200, 200, 200)).convert(mode).save(path)
    image = read_image(path, "")
    assert image.shape == (5, 7, 3) and image.dtype == np.uint8
    assert abs(int(image.mean()) - 200) < 60


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 257 * 100, np.uint16)).save(tmp_path / "deep.png")
    assert (read_image(tmp_path / "deep.png", "") == 100).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), 0.5, np.float32), "holds fractions.*8 bits a channel"),
        (np.full((4, 4), 200, np.uint16), "holds 0 to 200 in 16 or 32 bits.*8 bits a channel"),
        (np.full((4, 4), 70000, np.int32), "holds 0 to 70000 in .*expected 0 to 65535"),
        (np.full((4, 4), -5, np.int32), "holds -5 to 0 in .*expected 0 to 65535"),
    ],
)
def test_numbers_that_would_come_out_black_or_white_are_refused(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "deep.tif")
    with pytest.raises(BrokenFileError, match=rf"deep\.tif {message}.*Fetch it again"):
        read_image(tmp_path / "deep.tif", "Fetch it again")


def test_fractions_are_no_indices(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "soft.tif")
    with pytest.raises(BrokenFileError, match=r"soft\.tif holds fractions"):
        read_indices(tmp_path / "soft.tif", "")


def test_orientation_tag_is_left_alone(tmp_path):
    picture = Image.new("RGB", (8, 4))
    tags = picture.getexif()
    tags[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=tags)
    assert read_image(tmp_path / "turned.jpg", "").shape == (4, 8, 3)


def test_cut_and_foreign_files_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:1500])
    (tmp_path / "text.jpg").write_text("hello")
    for name in ("cut.jpg", "text.jpg"):
        with pytest.raises(BrokenFileError, match=rf"{name} cannot be read .*Fetch it again"):
            read_image(tmp_path / name, "Fetch it again")


def test_indices_from_grey_saved_as_colour(tmp_path):
    label = np.random.default_rng(0).integers(0, 3, (5, 6), np.uint8)
    Image.fromarray(label).convert("RGB").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_indices(tmp_path / "grey.png", ""), label)
    Image.fromarray(voc_palette()[label]).save(tmp_path / "colours.png")
    with pytest.raises(BrokenFileError, match="colour image"):
        read_indices(tmp_path / "colours.png", "")


def test_palette_is_vocs():
    palette = voc_palette()
    assert palette[[0, 1, 2, 3, 15, 255]].tolist() == [
        *([0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [224, 224, 192]),
    ]


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("colour", [False, True])
def test_fewer_bits_than_the_file_has_room_for_are_refused(bits, colour, tmp_path):
    """They would come out nearly black, and nobody can know where white was."""
    (tmp_path / "deep.png").write_bytes(deep(2**bits - 1, colour))
    with pytest.raises(BrokenFileError, match=r"10, 12 or 14 bits come out nearly black"):
        read_image(tmp_path / "deep.png", "")


def test_sixteen_bits_of_colour_are_read_and_are_no_label(tmp_path):
    (tmp_path / "deep.png").write_bytes(deep(65535, True))
    assert read_image(tmp_path / "deep.png", "").max() == 255
    with pytest.raises(BrokenFileError, match="expected one index a pixel"):
        read_indices(tmp_path / "deep.png", "")


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    """Pillow asks Ghostscript about a file that begins like PostScript, whatever its name."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "drawing.jpg").write_bytes(EPS)
    with pytest.raises(BrokenFileError, match=r"drawing\.jpg cannot be read .* JPEG, PNG, BMP"):
        read_image(tmp_path / "drawing.jpg", "")


def test_pixels_have_a_limit(tmp_path):
    (tmp_path / "huge.png").write_bytes(png(60_000, 60_000, 8, 2))
    with pytest.raises(BrokenFileError, match=r"huge\.png"):
        read_image(tmp_path / "huge.png", "")
