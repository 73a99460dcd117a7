"""What goes wrong in the middle of a training: the status says it, one sentence tells the fix,
nothing half-written stays, and the same command goes on when it is mended."""

import re
from pathlib import Path

import pytest
import trees
from templates_in_process import Attempt, Stop, as_everybody, without_memory, without_numbers
from test_kills import TEMPLATES, content, names

from fsslib.runs.status import read_status

TRAIN = TEMPLATES["train"]


def failure_of(folder: Path) -> str:
    """The sentence of a run that failed, which is no traceback and not a page."""
    text = (folder.parent / "error.txt").read_text()
    assert "\n" not in text and len(text) < 500, text
    return text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert Attempt("train", TRAIN, folder).end() == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ({"broken": without_memory}, "out of memory.* batch_size"),
        ({"broken": without_numbers}, "not finite .* Lower lr"),
        ({"largest_file": 30_000}, "checkpoint.pt.* space"),
    ],
    ids=["memory", "numbers", "disk"],
)
def test_a_trouble_that_passes(whole, tmp_path, trouble, expected):
    folder = tmp_path / "run"
    assert Attempt("train", TRAIN, folder, **trouble).end() == 1
    assert read_status(folder)["state"] == "failed"
    assert re.search(expected, failure_of(folder)), failure_of(folder)
    assert set(names(folder)) <= {*names(whole), "checkpoint_before.pt"}
    assert Attempt("train", TRAIN, folder).end() == 0
    assert content(folder) == content(whole) and names(folder) == names(whole)


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_to_any_more(whole, tmp_path):
    folder = tmp_path / "run"
    assert Attempt("train", TRAIN, folder, stop=Stop("in a save", 5)).end() < 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o555)
    assert Attempt("train", TRAIN, folder, broken=as_everybody).end() == 1
    assert "writable" in failure_of(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    folder.chmod(0o755)
    assert Attempt("train", TRAIN, folder).end() == 0
    assert content(folder) == content(whole)


@pytest.mark.slow
def test_a_picture_that_cannot_be_read(tmp_path):
    """It is named; put in order, the training ends like one that never met it."""
    tree = trees.write_folder(tmp_path / "pictures", ("bird", "cat", "red_mug", "sofa"))
    (tree / "classes.yaml").write_text("base: [cat, red_mug]\nnovel: [bird, sofa]\n")
    protocol = "folder image_size=33"
    parameters = {**TRAIN, "protocol": protocol, "root": str(tree), "fold": 0}
    whole, folder = tmp_path / "whole" / "run", tmp_path / "met" / "run"
    assert Attempt("train", parameters, whole).end() == 0
    picture = tree / "cat" / "images" / "picture1.jpg"
    intact = picture.read_bytes()
    picture.write_bytes(intact[: len(intact) // 2])
    assert Attempt("train", parameters, folder).end() == 1
    assert read_status(folder)["state"] == "failed"
    assert "picture1.jpg" in failure_of(folder)
    picture.write_bytes(intact)
    assert Attempt("train", parameters, folder).end() == 0
    assert content(folder) == content(whole)
