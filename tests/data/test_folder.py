"""Anyone's own folder of images and masks; and reading pictures of every kind."""

import numpy as np
import pytest
import trees
from PIL import Image

from fsslib.config import ConfigError
from fsslib.data.benchmark import BrokenFileError
from fsslib.data.folder import FolderBenchmark
from fsslib.data.pictures import read_image, read_indices, voc_palette
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes as listed_episodes


def test_classes_are_the_folders(folder_tree):
    benchmark = FolderBenchmark(folder_tree)
    assert benchmark.class_names == ("cat", "red mug")
    assert all(benchmark.novel_classes(fold) == (1, 2) for fold in range(4))
    assert benchmark.base_classes(0) == ()
    assert benchmark.load("train", 3).id == benchmark.load("val", 3).id == "red_mug/picture0"


def test_the_three_ways_to_write_a_mask(folder_tree):
    benchmark = FolderBenchmark(folder_tree)
    for index, border in ((3, False), (4, False), (5, True)):
        expected = trees.object_label(2, border)
        np.testing.assert_array_equal(benchmark.load("val", index).label, expected)
    assert benchmark.areas("val").tolist() == [[3000, 0]] * 3 + [[0, 3000]] * 3


def test_episodes_come_out(folder_tree):
    protocol = Protocol.preset("folder", episodes=4, way=2, shot=1)
    benchmark = load_benchmark(protocol, folder_tree)
    assert len(listed_episodes(benchmark, protocol)) == 4
    with pytest.raises(ConfigError, match="needs a root"):
        load_benchmark(protocol)
    with pytest.raises(ConfigError, match="rendered"):
        load_benchmark(Protocol.preset("scenes10i"), folder_tree)


def test_other_values_are_named(folder_tree):
    path = folder_tree / "cat/masks/picture0.png"
    Image.fromarray(np.full((trees.HEIGHT, trees.WIDTH), 128, np.uint8)).save(path)
    with pytest.raises(BrokenFileError, match=r"cat/masks/picture0\.png holds the values \[128\]"):
        FolderBenchmark(folder_tree).load("val", 0)


def test_wrong_size_is_named(folder_tree):
    path = folder_tree / "cat/masks/picture0.png"
    Image.fromarray(np.zeros((trees.WIDTH, trees.HEIGHT), np.uint8)).save(path)
    with pytest.raises(BrokenFileError, match=r"80 x 96 pixels, .*96 x 80\. .*turned"):
        FolderBenchmark(folder_tree).load("val", 0)


def test_missing_mask_is_named_by_load_and_areas(folder_tree):
    (folder_tree / "cat/masks/picture0.png").unlink()
    benchmark = FolderBenchmark(folder_tree)
    for ask in (lambda: benchmark.load("val", 0), lambda: benchmark.areas("val")):
        with pytest.raises(BrokenFileError, match=r"cat/masks/picture0\.png is missing"):
            ask()


def test_layout_errors(folder_tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="<class>/images"):
        FolderBenchmark(tmp_path / "nowhere")
    trees.write_jpeg(folder_tree / "cat/images/picture0.jpeg")
    with pytest.raises(BrokenFileError, match="picture0"):
        FolderBenchmark(folder_tree)
    (folder_tree / "dog/images").mkdir(parents=True)
    (folder_tree / "cat/images/picture0.jpeg").unlink()
    with pytest.raises(BrokenFileError, match="dog/images holds no images"):
        FolderBenchmark(folder_tree)


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


def test_a_picture_that_moves_to_another_class_is_counted_anew(folder_tree):
    """Also where the list of names stays as it was."""
    for path in sorted(folder_tree.glob("red*mug/*/picture*")):
        path.rename(path.with_name(path.name.replace("picture", "z")))
    before = (FolderBenchmark(folder_tree).areas("val") > 0).sum(0)
    mug = next(folder_tree.glob("red*mug"))
    for path in sorted(folder_tree.glob("cat/*/picture2.*")):
        path.rename(mug / path.parent.name / path.name)
    after = (FolderBenchmark(folder_tree).areas("val") > 0).sum(0)
    assert (after - before).tolist() == [-1, 1]
