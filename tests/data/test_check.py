"""`python -m fsslib.data check`: what it prints, and that it lists every trouble and fails."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import trees
from PIL import Image

from fsslib.data.__main__ import main
from fsslib.data.areas import pixel_counts
from fsslib.data.parallel import parallel_map


def test_a_sound_miniature_passes(pascal_tree, capsys):
    command = ["check", "pascal5i", "--root", str(pascal_tree), "--fold", "0"]
    assert main([*command, "--miniature", "--all-files"]) == 0
    text = capsys.readouterr().out
    assert "list training list sbd: 60 images (official: 5,953)" in text
    assert "train: 60 images (60 photographs decoded), 20 of 20 classes" in text
    assert "val: 40 images (40 photographs decoded)" in text and "% are 255" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  aeroplane")]
    assert rows[1] == ["aeroplane", "2", "2", "6,000", "novel"]


def test_short_lists_fail_without_miniature(pascal_tree, capsys):
    assert main(["check", "pascal5i", "--root", str(pascal_tree)]) == 1
    errors = capsys.readouterr().err
    for official in ("5,953", "10,582", "1,449"):
        assert f"official are {official}" in errors
    assert "FAILED: 7 troubles" in errors


def test_all_troubles_are_listed(pascal_tree, capsys):
    voc = pascal_tree / "VOCdevkit/VOC2012"
    names = trees.VOC_VAL
    (voc / f"JPEGImages/{names[0]}.jpg").unlink()
    (voc / f"JPEGImages/{names[1]}.jpg").write_text("not a picture")
    (voc / f"SegmentationClass/{names[2]}.png").unlink()
    (voc / f"SegmentationClass/{names[3]}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    trees.write_index_png(
        voc / f"SegmentationClass/{names[4]}.png", np.full((trees.HEIGHT, trees.WIDTH), 21, "u1")
    )
    trees.write_index_png(voc / f"SegmentationClass/{names[5]}.png", np.zeros((4, 4), "u1"))
    command = ["check", "pascal5i", "--root", str(pascal_tree), "--miniature", "--all-files"]
    assert main(command) == 1
    errors = capsys.readouterr().err
    assert "FAILED: 6 troubles" in errors
    for name in names[:6]:
        assert name in errors
    assert "holds [21]; expected 0 to 20 and 255" in errors


def test_missing_photograph_is_found_without_all_files(coco_tree, capsys):
    (coco_tree / "val2017" / "000000100080.jpg").unlink()
    assert main(["check", "coco20i", "--root", str(coco_tree), "--miniature"]) == 1
    assert "000000100080.jpg is missing" in capsys.readouterr().err


def test_coco_lists_are_compared(coco_tree, capsys):
    assert main(["check", "coco20i", "--root", str(coco_tree)]) == 1
    errors = capsys.readouterr().err
    assert "list val2017 with objects: 80 images, official are 4,952" in errors


def test_folder_has_no_official_lists(folder_tree, capsys):
    assert main(["check", "folder", "--root", str(folder_tree)]) == 0
    captured = capsys.readouterr().out
    assert captured.count("images (") == 1, "the same pictures are told once"
    assert "list val: 6 images\n" in captured
    mask = folder_tree / "cat/masks/picture1.png"
    Image.fromarray(np.full((trees.HEIGHT, trees.WIDTH), 3, np.uint8)).save(mask)
    assert main(["check", "folder", "--root", str(folder_tree)]) == 1


def empty_masks(tree):
    for path in (tree / "cat/masks").iterdir():
        Image.new("L", (trees.WIDTH, trees.HEIGHT)).save(path)


def one_picture(tree):
    for path in sorted(tree.glob("cat/*/picture[12].*")):
        path.unlink()


def misspelt_folder(tree):
    (trees.write_folder(tree, ("dog",)) / "dog/images").rename(tree / "dog/image")


def float_picture(tree):
    Image.fromarray(np.full((trees.HEIGHT, trees.WIDTH), 0.5, np.float32)).save(
        tree / "cat/images/picture0.tif"
    )
    (tree / "cat/images/picture0.jpg").unlink()


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (empty_masks, "class 'cat': 0 of its masks show it; an episode takes 2"),
        (one_picture, "class 'cat': 1 of its masks show it; an episode takes 2"),
        (misspelt_folder, "dog is not read as a class: it holds image, masks, and no folder"),
        (float_picture, "picture0.tif holds fractions"),
    ],
)
def test_what_would_spoil_results_on_a_folder_is_trouble(folder_tree, capsys, spoil, trouble):
    spoil(folder_tree)
    assert main(["check", "folder", "--root", str(folder_tree)]) == 1
    errors = capsys.readouterr().err
    assert trouble in errors and "FAILED: 1 troubles" in errors


def test_files_that_nobody_reads_are_told(folder_tree, capsys):
    (folder_tree / "cat/images/picture2.jpg").unlink()
    for number in range(6):
        (folder_tree / f"red_mug/images/new{number}.heic").write_bytes(b"")
    trees.write_folder(folder_tree, (".trash",))
    (folder_tree / "notes").mkdir()
    (folder_tree / "notes/about.txt").write_text("no class, and nothing like one")
    assert main(["check", "folder", "--root", str(folder_tree)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note ")]
    assert len(notes) == 2
    assert "cat/masks: not read: picture2.png; expected a PNG by the name of each" in notes[0]
    assert "red_mug/images: not read: new0.heic, new1.heic" in notes[1]
    assert "and 2 more; expected pictures (.jpg," in notes[1]


def test_the_command_itself(tmp_path):
    command = [sys.executable, "-m", "fsslib.data", "check", "pascal5i", "--root", str(tmp_path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert "ERROR: PASCAL-5i: no VOC 2012" in completed.stderr
    assert "download pascal5i" in completed.stderr


def test_only_pascal_is_downloaded(capsys):
    assert main(["download", "coco20i"]) == 1
    assert "cocodataset.org" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_keep_the_order(workers, capsys):
    labels = [np.full((2, 2), n % 256, np.uint8) for n in range(500)]
    rows = list(parallel_map(pixel_counts, labels, "counting", workers))
    assert [int(row.argmax()) for row in rows] == [n % 256 for n in range(500)]
    assert "counting: 500 of 500" in capsys.readouterr().err


def test_a_killed_worker_is_an_error_not_a_hang():
    with pytest.raises(RuntimeError, match=r"counting: a worker process was killed"):
        list(parallel_map(os._exit, [9] * 500, "counting", workers=2))


def test_photographs_with_an_orientation_are_counted(folder_tree, capsys):
    """No size tells whether a mask was drawn on the turned picture, where both are square."""
    for number, orientation in ((0, 6), (1, 1), (2, 3)):
        path = folder_tree / f"cat/images/picture{number}.jpg"
        picture = Image.open(path)
        tags = picture.getexif()
        tags[0x0112] = orientation
        picture.save(path, exif=tags)
    assert main(["check", "folder", "--root", str(folder_tree), "--all-files"]) == 0
    text = capsys.readouterr().out
    assert "note 2 of 6 decoded photographs have an EXIF orientation (cat/picture0, cat/" in text
    assert "their masks must lie on the stored pixels" in text


def test_annotations_that_would_end_the_process_are_an_error(coco_tree, capsys):
    path = coco_tree / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [[0, 0, 1e9, 0, 1e9, 1e9]]
    path.write_text(json.dumps(content))
    assert main(["check", "coco20i", "--root", str(coco_tree), "--miniature"]) == 1
    error = capsys.readouterr().err
    assert "ERROR" in error and "a polygon leaves the picture" in error and "Trace" not in error
