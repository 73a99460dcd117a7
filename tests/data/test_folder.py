"""Anyone's own folder of images and masks."""

import numpy as np
import pytest
import trees
from PIL import Image

from fsslib.config import ConfigError
from fsslib.data.benchmark import BrokenFileError
from fsslib.data.folder import FolderBenchmark
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


def palette_mask(*colours):
    picture = Image.fromarray(trees.object_label(1, border=False))
    picture.putpalette([value for colour in colours for value in colour])
    return picture


def alpha_mask(mode):
    """The object only in the alpha channel, over one colour."""
    picture = Image.new(mode, (trees.WIDTH, trees.HEIGHT), "white")
    picture.putalpha(Image.fromarray(trees.object_label(1, border=False) * 255))
    return picture


def transparent_palette():
    picture = palette_mask((0, 0, 0), (0, 0, 0))
    picture.info["transparency"] = 1
    return picture


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (palette_mask((255, 255, 255), (0, 0, 0)), r"colour 0 is \[255, 255, 255\].*as grey"),
        (palette_mask((0, 0, 9), (255, 255, 255)), r"colour 0 is \[0, 0, 9\].*expected black"),
        (alpha_mask("RGB"), "alpha channel from 0 to 255.*as grey"),
        (alpha_mask("L"), "alpha channel from 0 to 255.*as grey"),
        (transparent_palette(), "alpha channel from 0 to 255.*as grey"),
    ],
)
def test_masks_whose_values_may_not_be_what_they_show_are_refused(folder_tree, picture, message):
    picture.save(folder_tree / "cat/masks/picture0.png")
    with pytest.raises(BrokenFileError, match=rf"cat/masks/picture0\.png has .*{message}"):
        FolderBenchmark(folder_tree).load("val", 0)


@pytest.mark.parametrize("kind", ["palette", "opaque"])
def test_masks_with_vocs_palette_or_an_opaque_alpha_are_read(folder_tree, kind):
    label = trees.object_label(1, border=True)
    path = folder_tree / "cat/masks/picture0.png"
    if kind == "palette":
        trees.write_index_png(path, label)
    else:
        Image.fromarray(label).convert("RGBA").save(path)
    np.testing.assert_array_equal(FolderBenchmark(folder_tree).load("val", 0).label, label)


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


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("picture0.PNG", r"rename it to picture0\.png"),
        ("Picture0.png", r"rename it to picture0\.png"),
        ("picture0_mask.png", r"rename it to picture0\.png"),
        ("picture0.jpg.png", r"rename it to picture0\.png"),
        ("picture0.jpg", r"save it as a PNG called picture0\.png"),
    ],
)
def test_misnamed_mask_is_told_from_a_missing_one(folder_tree, name, fix):
    mask = folder_tree / "cat/masks/picture0.png"
    mask.rename(mask.with_name(name))
    with pytest.raises(BrokenFileError, match=rf"picture0\.png is missing.*{name}.*{fix}"):
        FolderBenchmark(folder_tree).load("val", 0)


def test_masks_of_other_pictures_are_not_offered(folder_tree):
    for path in sorted(folder_tree.glob("cat/*/picture1.*")):
        path.rename(path.with_name(f"picture0_b{path.suffix}"))
    (folder_tree / "cat/masks/picture0.png").unlink()
    with pytest.raises(BrokenFileError, match=r"picture0\.png is missing\. Save 0 for background"):
        FolderBenchmark(folder_tree).load("val", 0)


def test_hidden_folders_and_files_are_not_read(folder_tree):
    trees.write_folder(folder_tree, (".trash", ".ipynb_checkpoints"))
    trees.write_jpeg(folder_tree / "cat/images/._picture0.jpg")
    benchmark = FolderBenchmark(folder_tree)
    assert benchmark.class_names == ("cat", "red mug")
    assert len(benchmark.items["val"]) == 6


def test_two_folders_of_one_class_are_refused(folder_tree):
    trees.write_folder(folder_tree, ("red mug",))
    with pytest.raises(BrokenFileError, match=r"\['red mug', 'red_mug'\] name the same class"):
        FolderBenchmark(folder_tree)


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
