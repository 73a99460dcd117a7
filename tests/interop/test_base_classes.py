"""Base classes of released files: their number shows, their order is the released code's."""

import warnings

import pytest
import torch
from stand_ins import tiny_backbone

from fsslib.data.folds import COCO_CLASSES, contiguous_fold, interleaved_fold
from fsslib.interop.base_classes import order_trouble, released_classes
from fsslib.interop.official import OfficialMisfit, load_official, official_state
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig


def test_released_folds_are_contiguous_on_pascal_and_interleaved_on_coco():
    assert released_classes(15, 1) == (1, 2, 3, 4, 5, *range(11, 21))
    coco = released_classes(60, 0)
    assert coco[:4] == (2, 3, 4, 6)
    assert not set(coco) & set(interleaved_fold(80, 0))
    assert COCO_CLASSES[0] == "person"  # id 1, novel in fold 0
    with pytest.raises(ValueError, match="30 base classes are no fold of"):
        released_classes(30, 0)


@pytest.mark.parametrize("classes", [15, 60])
@pytest.mark.parametrize("fold", range(4))
def test_released_folds_pass_in_their_order_alone(classes, fold):
    ids = released_classes(classes, fold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert order_trouble(ids) == ""
    turned = (*ids[1:], ids[0])
    assert "not in the order of the released code" in order_trouble(turned)
    assert str(ids[:5])[1:-1] in order_trouble(turned)


def test_classes_of_no_fold_are_refused_with_the_nearest():
    ids = (*range(1, 15), 16)
    assert "no fold's of pascal5i; those of fold 3" in order_trouble(ids)
    assert str(tuple(range(1, 16))) in order_trouble(ids)


def test_contiguous_folds_of_coco_are_possible_and_warned_of():
    novel = contiguous_fold(80, 2)
    ids = [number for number in range(1, 81) if number not in novel]
    with pytest.warns(UserWarning, match="contiguous fold 2; published files are of interleaved"):
        assert order_trouble(ids) == ""


def test_other_benchmarks_only_have_to_be_in_order():
    assert order_trouble((1, 4, 9)) == ""
    assert order_trouble(range(101, 116)) == ""
    assert "give (1, 4, 9)" in order_trouble((4, 1, 9))


def test_loading_refuses_another_order():
    config = BaseLearnerConfig.preset("paper", dim=8)
    learner = BaseLearner(tiny_backbone(), (3, 1, 2), config)
    state = {k: torch.zeros_like(v) for k, v in official_state(learner).items()}
    with pytest.raises(OfficialMisfit, match=r"base classes \(3, 1, 2\).*give \(1, 2, 3\)"):
        load_official(learner, state)
    learner.class_ids = torch.tensor([1, 2, 3])
    assert not load_official(learner.train(), state).training
