"""COCO-20i on miniature annotation files of both years, and on real photographs if there."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import trees

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.check import check
from fsslib.data.coco import Coco20i
from fsslib.data.coco_labels import ImageAnnotations, draw_labels
from fsslib.data.prepared import MANIFEST
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes as listed_episodes


def drawn(*objects):
    return draw_labels(ImageAnnotations("x.json", 1, "1.jpg", 20, 30, objects))


def polygon(number, x, y, width, height):
    return {"id": number, "iscrowd": 0, "segmentation": [trees.rectangle(x, y, width, height)]}


def crowd(number, counts):
    return {"id": number, "iscrowd": 1, "segmentation": {"size": [20, 30], "counts": counts}}


def test_smaller_objects_lie_on_top():
    small, large = (2, polygon(1, 5, 5, 4, 4)), (1, polygon(2, 2, 2, 20, 15))
    label = drawn(small, large)
    np.testing.assert_array_equal(label, drawn(large, small))
    assert label[7, 7] == 2 and label[3, 3] == 1 and label[19, 29] == 0
    assert (label == 2).sum() == 16


def test_equal_objects_are_ordered_by_id():
    first, second = (1, polygon(1, 2, 2, 5, 5)), (2, polygon(2, 2, 2, 5, 5))
    assert drawn(second, first)[4, 4] == 2


def test_crowds_are_ignored_where_no_object_is():
    label = drawn((3, crowd(1, [0, 600])), (1, polygon(2, 2, 2, 6, 6)))
    assert label[4, 4] == 1 and label[15, 15] == 255 and 3 not in label


def test_shapes_that_enclose_nothing_are_left_out():
    line = {"id": 1, "iscrowd": 0, "segmentation": [[1.0, 1.0, 9.0, 9.0]]}
    assert not drawn((1, line)).any()


@pytest.mark.parametrize(
    "segmentation",
    [{"size": [5, 5], "counts": [25]}, {"size": [20, 30], "counts": [3]}, "word"],
)
def test_broken_annotation_is_named(segmentation):
    with pytest.raises(BrokenFileError, match=r"x\.json: annotation 7 of 1\.jpg"):
        drawn((1, {"id": 7, "segmentation": segmentation}))


@pytest.mark.parametrize("year", [2014, 2017])
def test_both_years(tmp_path, year):
    benchmark = Coco20i(trees.write_coco(tmp_path, year, images=3))
    assert benchmark.year == year and len(benchmark.items["val"]) == 4
    sample = benchmark.load("val", 1)
    assert sample.id == ("COCO_val2014_" if year == 2014 else "") + "000000100002"
    assert sample.image.shape == (trees.HEIGHT, trees.WIDTH, 3)
    assert set(np.unique(sample.label)) == {0, 3, 4}
    assert set(np.unique(benchmark.load("val", 0).label)) == {1, 2, 255}
    assert not benchmark.load("val", 3).label.any()
    counts = {listed.name: listed.length for listed in benchmark.list_counts()}
    assert counts[f"val{year}"] == 4 and counts[f"val{year} with objects"] == 3


def test_2014_comes_first_where_both_are(tmp_path):
    for year in (2014, 2017):
        trees.write_coco(tmp_path, year, images=1)
    assert Coco20i(tmp_path).year == 2014
    assert Coco20i(tmp_path, year=2017).year == 2017


def test_categories_with_gaps_become_80_ids(tmp_path):
    benchmark = Coco20i(trees.write_coco(tmp_path, images=40))
    areas = benchmark.areas("train")
    assert areas.shape == (41, 80)
    present = [tuple(np.flatnonzero(row) + 1) for row in areas]
    assert present[:40] == [(2 * n + 1, 2 * n + 2) for n in range(40)] and present[40] == ()


def test_conventions_differ_and_have_no_default_spelling(coco_tree):
    contiguous = Coco20i(coco_tree, "contiguous")
    assert contiguous.novel_classes(0) == tuple(range(1, 21))
    assert Coco20i(coco_tree).novel_classes(0) == tuple(range(1, 81, 4))
    with pytest.raises(ValueError, match="interleaved"):
        Coco20i(coco_tree, "fwb")


def test_episodes_come_out(coco_tree):
    protocol = Protocol.preset("coco20i", episodes=20, coco_folds="contiguous")
    benchmark = load_benchmark(protocol, coco_tree)
    assert {e.classes[0] for e in listed_episodes(benchmark, protocol)} == set(range(1, 21))


def test_half_made_labels_are_finished_and_whole_ones_kept(tmp_path):
    folder = Coco20i(trees.write_coco(tmp_path, images=3)).items["val"][0].label.parent
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["source"] == "instances_val2017.json" and manifest["count"] == 4
    intact = folder / "000000100002.png"
    written = intact.stat().st_mtime_ns
    (folder / MANIFEST).unlink()
    (folder / "000000100003.png").unlink()
    assert Coco20i(tmp_path).load("val", 2).label.any()
    assert json.loads((folder / MANIFEST).read_text()) == manifest
    assert intact.stat().st_mtime_ns == written


def test_other_annotations_make_other_labels(tmp_path):
    before = Coco20i(trees.write_coco(tmp_path, images=3)).items["val"][0].label
    trees.write_coco(tmp_path, images=2)
    assert Coco20i(tmp_path).items["val"][0].label.parent != before.parent


def test_a_closed_folder_is_not_written(tmp_path):
    root = trees.write_coco(tmp_path / "coco", images=2)
    root.chmod(0o555)
    try:
        benchmark = Coco20i(root)
        benchmark.areas("val")
        assert not (root / "fsslib_cache").exists()
        assert Path(os.environ["FSSLIB_DATA"]) in benchmark.items["val"][0].label.parents
    finally:
        root.chmod(0o755)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"instances_\*2014\.json or .*2017.* unpack"):
        Coco20i(tmp_path)
    trees.write_coco(tmp_path, images=2)
    benchmark = Coco20i(tmp_path)
    benchmark.items["val"][0].image.unlink()
    with pytest.raises(BrokenFileError, match=r"000000100001\.jpg is missing\. Unpack"):
        benchmark.load("val", 0)


def test_other_categories_are_refused(tmp_path):
    path = trees.write_coco(tmp_path, images=1) / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["categories"] = content["categories"][:79]
    path.write_text(json.dumps(content))
    with pytest.raises(BrokenFileError, match=r"79 categories .*toothbrush"):
        Coco20i(tmp_path)
    path.write_text("{}")
    with pytest.raises(BrokenFileError, match="not a COCO instances file"):
        Coco20i(tmp_path)


def test_train_and_val_must_not_share_images(tmp_path):
    folder = trees.write_coco(tmp_path, images=1) / "annotations"
    (folder / "instances_val2017.json").write_bytes(
        (folder / "instances_train2017.json").read_bytes()
    )
    with pytest.raises(ValueError, match="in train and in val"):
        Coco20i(tmp_path)


@pytest.mark.skipif(
    "FSSLIB_COCO_MINI" not in os.environ,
    reason="FSSLIB_COCO_MINI names no folder with real COCO photographs",
)
def test_real_photographs(tmp_path):
    root = Path(os.environ["FSSLIB_COCO_MINI"])
    before = sorted(root.rglob("*"))
    benchmark = Coco20i(root, cache=tmp_path)
    report = check(benchmark, all_files=True, miniature=True)
    assert report.troubles == []
    assert len(benchmark.items["train"]) == 80 and len(benchmark.items["val"]) == 79
    assert (benchmark.areas("train") > 0).any(axis=1).all()
    for split in ("train", "val"):
        for index in range(0, 79, 13):
            sample = benchmark.load(split, index)
            assert sample.image.dtype == sample.label.dtype == np.uint8
            assert sample.image.shape[:2] == sample.label.shape
    assert sorted(root.rglob("*")) == before
