"""The Protocol: checked values, presets, and a hash that changes with every field."""

from dataclasses import fields, replace

import pytest

from fsslib.config import ConfigError
from fsslib.data.benchmark import BENCHMARKS
from fsslib.data.protocol import Protocol

OTHER = {
    "benchmark": "coco20i",
    "fold": 1,
    "way": 2,
    "shot": 5,
    "episodes": 7,
    "seed": 3,
    "image_size": 321,
    "fit": "stretch",
    "resolution": "resized",
    "border": "background",
    "novel_in_train": "drop",
    "minimum_object_pixels": 1,
    "sampling": "image_first",
    "scarce_classes": "skip",
    "query_labels": "oracle",
    "selection": "test_fold",
    "coco_folds": "contiguous",
    "train_list": "sbd_aug",
    "question": "stranger",
    "queries": "half_absent",
}


def test_every_field_is_in_the_hash():
    base = Protocol("pascal5i")
    assert base.hash == Protocol("pascal5i").hash and len(base.hash) == 12
    assert OTHER.keys() | {"held_out"} == {field.name for field in fields(Protocol)}
    own = {name: value for name, value in OTHER.items() if name != "coco_folds"}  # COCO's alone
    hashes = {replace(base, **{name: value}).hash for name, value in own.items()}
    coco = Protocol("coco20i")
    hashes |= {coco.hash, replace(coco, coco_folds=OTHER["coco_folds"]).hash}
    held_out = replace(base, selection="held_out_base", held_out=3)
    assert len(hashes | {base.hash, held_out.hash}) == len(own) + 3


def test_fields_that_came_later_leave_older_hashes_as_they_were():
    assert Protocol.preset("scenes10i", episodes=100).hash == "05e0b6dbe3f1"


@pytest.mark.parametrize(
    ("benchmark", "name"),
    [("pascal5i", "coco_folds"), ("scenes10i", "coco_folds"), ("coco20i", "train_list")],
)
def test_what_a_benchmark_does_not_read_is_refused(benchmark, name):
    with pytest.raises(ConfigError, match=rf"{name}=.*: {benchmark} reads none"):
        Protocol.preset(benchmark, **{name: OTHER[name]})


@pytest.mark.parametrize("benchmark", BENCHMARKS.names())
def test_presets_are_valid(benchmark):
    assert Protocol.preset(benchmark).benchmark == benchmark
    assert Protocol.preset(benchmark, shot=5).shot == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": "coco"}, "benchmark='coco'"),
        ({"fold": 4}, "fold=4"),
        ({"way": 0}, "way=0: expected at least 1"),
        ({"shot": 0}, "shot=0"),
        ({"episodes": 0}, "episodes=0"),
        ({"episodes": 7, "queries": "half_absent"}, "episodes=7 .*expected an even number"),
        ({"question": "word"}, "question='word': expected one of"),
        ({"image_size": 8}, "image_size=8"),
        ({"border": "count"}, "border='count'"),
        ({"fit": "crop"}, "fit='crop': expected one of"),
        ({"image_size": 97.5}, "image_size=97.5"),
        ({"way": "two"}, "way='two'"),
        ({"held_out": 3}, "'held_out_base' needs held_out"),
        ({"selection": "held_out_base"}, "'held_out_base' needs held_out"),
        ({"shots": 5}, "unknown parameter 'shots'; did you mean 'shot'"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        others = {name: value for name, value in changes.items() if name != "benchmark"}
        Protocol.preset(changes.get("benchmark", "pascal5i"), **others)
    if "shots" not in changes:  # and no other way leads around the check
        with pytest.raises(ConfigError, match=message):
            replace(Protocol("pascal5i"), **changes)
