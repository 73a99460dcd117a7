"""Pictures for the base learner: which, in which order, with which labels."""

import numpy as np
import pytest
import torch

from fsslib.data.base_pictures import BasePictures, picture_specs
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit


@pytest.fixture(scope="module")
def benchmark():
    return load_benchmark(Protocol.preset("scenes10i"))


def protocol(**changes) -> Protocol:
    return Protocol.preset("scenes10i", **changes)


def test_dropped_pictures_hold_no_novel_object(benchmark):
    areas, parts = benchmark.areas("train"), ClassSplit.of(benchmark, protocol())
    selected = [spec.query for spec in picture_specs(benchmark, protocol(), "train")]
    novel = areas[selected][:, np.asarray(parts.novel) - 1]
    assert not novel.any()
    more = picture_specs(benchmark, protocol(novel_in_train="background"), "train")
    assert len(more) > len(selected)
    assert len(picture_specs(benchmark, protocol(), "val", 7)) == 7


def test_labels_number_the_base_classes_in_order(benchmark):
    parts = ClassSplit.of(benchmark, protocol(fold=1))
    pictures = BasePictures(benchmark, protocol(fold=1), 10, seed=0)
    episode = pictures[3]
    assert episode.class_ids.tolist() == list(parts.train)
    assert episode.support_images.shape == (30, 0, 3, 97, 97)
    sample = benchmark.load("train", int(episode.ids[0].split("/")[-1]))
    expected = {parts.train.index(c) + 1 for c in np.unique(sample.label) if c in parts.train}
    assert set(episode.query_mask.unique().tolist()) - {0, 255} == expected


def test_a_picture_is_a_function_of_seed_and_number(benchmark):
    whole = BasePictures(benchmark, protocol(), 10, seed=0)
    rest = BasePictures(benchmark, protocol(), 10, seed=0, start=6)
    assert len(rest) == 4
    assert torch.equal(whole[7].query_image, rest[1].query_image)
    other = BasePictures(benchmark, protocol(), 10, seed=1)
    assert whole[7].ids != other[7].ids
    with pytest.raises(IndexError):
        rest[4]


def test_held_out_classes_are_no_base_classes(benchmark):
    held = protocol(selection="held_out_base", held_out=5)
    parts = ClassSplit.of(benchmark, held)
    specs = picture_specs(benchmark, held, "train")
    assert all(spec.classes == parts.train for spec in specs)
    areas = benchmark.areas("train")[[spec.query for spec in specs]]
    assert not areas[:, np.asarray(parts.held_out) - 1].any()
