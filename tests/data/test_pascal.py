"""PASCAL-5i on a miniature of its archives: lists, labels, caches, and what breaks."""

import numpy as np
import pytest
import trees

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.pascal import Pascal5i
from fsslib.data.prepared import MANIFEST
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes as listed_episodes
from fsslib.data.voc_files import OFFICIAL, VocFiles, download, read_sbd_mat


def ids(benchmark, split):
    return [item.id for item in benchmark.items[split]]


def test_training_lists_follow_their_rules(pascal_tree):
    short, long = Pascal5i(pascal_tree), Pascal5i(pascal_tree, "sbd_aug")
    assert ids(short, "train") == sorted(trees.VOC_TRAIN + trees.SBD_ONLY)
    assert ids(long, "train") == sorted(trees.VOC_TRAIN + trees.SBD_ONLY + trees.SBD_DETECTION_VAL)
    assert ids(short, "val") == ids(long, "val") == trees.VOC_VAL


def test_the_papers_counts_add_up():
    # 1,134 images are in both sets: counted in PFENet's published lists.
    count = {name: number for name, (number, _) in OFFICIAL.items()}
    both = 1134
    outside = count["SBD without VOC's detection val"]
    assert outside + count["VOC train"] - both == count["training list sbd"]


def test_the_authors_own_list_is_used_where_it_lies(pascal_tree):
    only = trees.SBD_ONLY[:3]
    trees.write_list(pascal_tree / "benchmark_RELEASE/dataset/train_noval.txt", only)
    assert VocFiles.find(pascal_tree).training_ids("sbd") == set(trees.VOC_TRAIN + only)


def test_an_image_named_twice_counts_once_and_is_told_of(pascal_tree):
    path = pascal_tree / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"
    trees.write_list(path, [*trees.VOC_VAL, *trees.VOC_VAL[:4]])
    with pytest.warns(UserWarning, match=r"val\.txt names 4 images more than once \(.*, …\)"):
        benchmark = Pascal5i(pascal_tree)
    assert ids(benchmark, "val") == trees.VOC_VAL


def test_voc_label_wins_and_keeps_its_border(pascal_tree):
    benchmark = Pascal5i(pascal_tree)
    shared = ids(benchmark, "train").index(trees.VOC_TRAIN[0])  # in SBD, too, without border
    sample = benchmark.load("train", shared)
    np.testing.assert_array_equal(sample.label, trees.object_label(1, border=True))
    assert sample.image.shape == (trees.HEIGHT, trees.WIDTH, 3)


def test_sbd_label_has_no_border(pascal_tree):
    benchmark = Pascal5i(pascal_tree)
    only = ids(benchmark, "train").index(trees.SBD_ONLY[0])
    number = 25  # its place in SBD's train list, which gives the class
    expected = trees.object_label(trees.class_of(number), border=False)
    np.testing.assert_array_equal(benchmark.load("train", only).label, expected)


def test_areas_count_the_labels(pascal_tree):
    benchmark = Pascal5i(pascal_tree)
    areas = benchmark.areas("val")
    assert areas.shape == (40, 20) and areas.dtype == np.int64
    for index in (0, 7, 39):
        counts = np.bincount(benchmark.load("val", index).label.ravel(), minlength=256)
        np.testing.assert_array_equal(areas[index], counts[1:21])


def test_areas_are_cached_until_a_label_changes(pascal_tree):
    before = Pascal5i(pascal_tree).areas("val")
    table = next(pascal_tree.glob("fsslib_cache/*/areas_val.npz"))
    written = table.stat().st_mtime_ns
    np.testing.assert_array_equal(Pascal5i(pascal_tree).areas("val"), before)
    assert table.stat().st_mtime_ns == written
    label = pascal_tree / f"VOCdevkit/VOC2012/SegmentationClass/{trees.VOC_VAL[0]}.png"
    trees.write_index_png(label, trees.object_label(20, border=True))
    changed = Pascal5i(pascal_tree).areas("val")
    assert before[0, 0] > 0 and changed[0, 0] == 0 and changed[0, 19] == before[0, 0]


def test_a_broken_cache_is_made_again(pascal_tree):
    before = Pascal5i(pascal_tree).areas("val")
    next(pascal_tree.glob("fsslib_cache/*/areas_val.npz")).write_bytes(b"PK\x03\x04 cut")
    np.testing.assert_array_equal(Pascal5i(pascal_tree).areas("val"), before)


def test_half_made_labels_are_finished(pascal_tree):
    folder = Pascal5i(pascal_tree).sbd_labels
    names = sorted(path.name for path in folder.glob("*.png"))
    (folder / MANIFEST).unlink()
    (folder / names[0]).unlink()
    assert Pascal5i(pascal_tree).sbd_labels == folder
    assert sorted(path.name for path in folder.glob("*.png")) == names
    (folder / names[1]).unlink()  # the manifest stays, the count is off
    Pascal5i(pascal_tree)
    assert sorted(path.name for path in folder.glob("*.png")) == names


def test_train_and_val_must_not_share_images(pascal_tree):
    listing = pascal_tree / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    trees.write_list(listing, trees.VOC_TRAIN + trees.VOC_VAL[:1])
    with pytest.raises(ValueError, match=trees.VOC_VAL[0]):
        Pascal5i(pascal_tree)


def test_missing_archives_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no VOC 2012 .* no SBD .* download pascal5i"):
        Pascal5i(tmp_path)
    with pytest.raises(FileNotFoundError, match="download pascal5i"):
        load_benchmark(Protocol.preset("pascal5i"))


def test_download_is_asked_for_once(tmp_path, monkeypatch):
    downloads = []

    def arrive(root):
        downloads.append(root)
        trees.write_pascal(root)

    monkeypatch.setattr("fsslib.data.voc_files.download", arrive)
    for _ in range(2):
        assert len(Pascal5i(tmp_path / "new", download=True).items["val"]) == 40
    assert downloads == [tmp_path / "new"]


def test_download_names_both_archives(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(
        "torchvision.datasets.VOCSegmentation", lambda root, **options: fetched.append(options)
    )
    monkeypatch.setattr(
        "torchvision.datasets.utils.download_and_extract_archive",
        lambda url, root, filename, md5: fetched.append((filename, md5)),
    )
    download(tmp_path / "new")
    assert fetched[0]["year"] == "2012" and fetched[0]["download"] is True
    assert fetched[1] == ("benchmark.tgz", "82b4d87ceb2ed10f6038a1cba92111cb")


@pytest.mark.parametrize("damage", ["missing", "text", "values"])
def test_broken_mat_is_named(pascal_tree, damage):
    path = pascal_tree / f"benchmark_RELEASE/dataset/cls/{trees.SBD_ONLY[0]}.mat"
    path.unlink()
    if damage == "text":
        path.write_text("not MATLAB")
    if damage == "values":
        trees.write_sbd_mat(path, trees.object_label(99, border=False))
    with pytest.raises(BrokenFileError, match=path.name):
        Pascal5i(pascal_tree)


def test_mat_reader_matches_what_was_written(tmp_path):
    label = trees.object_label(7, border=False)
    trees.write_sbd_mat(tmp_path / "a.mat", label)
    np.testing.assert_array_equal(read_sbd_mat(tmp_path / "a.mat"), label)


def test_episodes_come_out(pascal_tree):
    protocol = Protocol.preset("pascal5i", episodes=10, fold=1)
    benchmark = load_benchmark(protocol, pascal_tree)
    assert benchmark.novel_classes(1) == (6, 7, 8, 9, 10)
    assert {e.classes[0] for e in listed_episodes(benchmark, protocol)} == {6, 7, 8, 9, 10}
