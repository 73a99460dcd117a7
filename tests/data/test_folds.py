"""Folds against those recorded from the papers' own code."""

import json

import pytest
from golden import GOLDEN

from fsslib.data.folds import (
    COCO_CLASSES,
    PASCAL_CLASSES,
    contiguous_fold,
    interleaved_fold,
)

# PI-CLIP's code calls some COCO classes by VOC's names; the ids are what must agree.
RENAMED = {
    **{"motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch"},
    **{"pottedplant": "potted plant", "diningtable": "dining table", "tvmonitor": "tv"},
}


def recorded(paper, name="folds"):
    return json.loads((GOLDEN / paper / f"{name}.json").read_text())


@pytest.mark.parametrize("fold", range(4))
def test_folds_of_pi_clip(fold):
    known = recorded("pi_clip")
    assert known[f"pascal_split{fold}"]["novel_ids"] == list(contiguous_fold(20, fold))
    for key, cut in (("fwb_interleaved", interleaved_fold), ("panet_contiguous", contiguous_fold)):
        entry = known[f"coco_{key}_split{fold}"]
        assert entry["novel_ids"] == list(cut(80, fold))
        assert entry["train_ids"] == [c for c in range(1, 81) if c not in cut(80, fold)]


@pytest.mark.parametrize("fold", range(4))
def test_folds_of_qgnet(fold):
    known = recorded("qgnet")
    assert known[f"pascal_fold{fold}"]["novel"] == list(contiguous_fold(20, fold))
    assert known[f"coco_split_fold{fold}"]["novel"] == list(interleaved_fold(80, fold))
    assert known[f"coco_fold{fold}"]["novel"] == list(contiguous_fold(80, fold))


@pytest.mark.parametrize("fold", range(4))
def test_folds_of_hsnet(fold):
    known = recorded("lfss", "hsnet_folds")  # ids from 0
    for benchmark, cut, classes in (
        ("pascal", contiguous_fold, 20),
        ("coco", interleaved_fold, 80),
    ):
        novel = [c + 1 for c in known[benchmark][f"val_fold{fold}"]["class_ids"]]
        base = [c + 1 for c in known[benchmark][f"trn_fold{fold}"]["class_ids"]]
        assert novel == list(cut(classes, fold))
        assert base == [c for c in range(1, classes + 1) if c not in novel]


def test_class_names_are_in_the_papers_order():
    known = recorded("pi_clip")
    assert tuple(known["voc_names_id1_to_20"]) == PASCAL_CLASSES
    names = tuple(RENAMED.get(name, name) for name in known["coco_names_id1_to_80"])
    assert names == COCO_CLASSES


def test_there_are_four_folds():
    with pytest.raises(ValueError, match="expected 0, 1, 2 or 3"):
        interleaved_fold(80, 4)
