"""Scenes-10i: same scene everywhere, true labels, true captions, sizes as promised."""

from __future__ import annotations

import pickle
import subprocess
import sys
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest

from fsslib.data.protocol import Protocol
from fsslib.data.registry import ROOM, load_benchmark
from fsslib.data.scenes import (
    BORDER,
    CLASS_NAMES,
    FOLDS,
    class_id,
    class_name,
    contact_sheet,
    fold_class_ids,
    noun_phrase,
    plan_scene,
    portrait,
    render_scene,
)
from fsslib.data.scenes.benchmark import Scenes10i
from fsslib.data.scenes.captions import relations
from fsslib.data.scenes.classes import DRAW
from fsslib.data.scenes.palette import COLOUR_NAMES, random_look
from fsslib.data.scenes.pen import Paint, Pen

SCENES = 300
SIZE = 96


@pytest.fixture(scope="module")
def scenes():
    return [render_scene("test", 7, index, SIZE) for index in range(SCENES)]


def classes_in(label: np.ndarray) -> set[int]:
    return set(np.unique(label).tolist()) - {0, BORDER}


def fingerprint(split: str, seed: int, index: int) -> int:
    scene = render_scene(split, seed, index, 64)
    return crc32(scene.image.tobytes() + scene.label.tobytes() + repr(scene.captions).encode())


def test_classes_come_in_four_folds_of_ten():
    assert [len(fold) for fold in FOLDS] == [10] * 4
    assert len(set(CLASS_NAMES)) == 40 and set(DRAW) == set(CLASS_NAMES)
    assert [class_name(i) for i in fold_class_ids(1)] == list(FOLDS[1])
    assert class_id("house") == 1 and class_id("pencil") == 40


@pytest.mark.parametrize(
    ("name", "adjectives", "expected"),
    [
        ("mug", ("red",), "a red mug"),
        ("umbrella", ("",), "an umbrella"),
        ("key", ("orange", "striped"), "an orange striped key"),
        ("scissors", ("blue",), "a pair of blue scissors"),
    ],
)
def test_noun_phrase(name, adjectives, expected):
    assert noun_phrase(name, *adjectives) == expected


def test_same_address_gives_same_scene():
    first, second = render_scene("train", 3, 11, 64), render_scene("train", 3, 11, 64)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert first.objects == second.objects and first.captions == second.captions


def test_another_process_renders_the_same_scene():
    code = (
        "from zlib import crc32\nfrom fsslib.data.scenes import render_scene\n"
        "for index in (5, 2):\n"
        "    s = render_scene('val', 1, index, 64)\n"
        "    print(crc32(s.image.tobytes() + s.label.tobytes() + repr(s.captions).encode()))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stdout.split() == [str(fingerprint("val", 1, index)) for index in (5, 2)]


def test_splits_seeds_and_indices_differ():
    addresses = [("train", 0, 0), ("val", 0, 0), ("train", 1, 0), ("train", 0, 1)]
    assert len({fingerprint(*address) for address in addresses}) == len(addresses)
    train = [plan_scene("train", 0, i).class_ids for i in range(200)]
    val = [plan_scene("val", 0, i).class_ids for i in range(200)]
    assert sum(a == b for a, b in zip(train, val, strict=True)) < 10


def test_plans_are_even_and_within_bounds():
    plans = [plan_scene("train", 0, i, (2, 3)).class_ids for i in range(4000)]
    assert {len(plan) for plan in plans} == {2, 3}
    assert all(len(set(plan)) == len(plan) for plan in plans)
    counts = np.bincount(np.concatenate(plans), minlength=41)
    assert counts[0] == 0 and counts[1:].min() > 0.7 * counts[1:].mean()


def test_label_holds_exactly_the_planned_classes(scenes):
    for index, scene in enumerate(scenes):
        plan = plan_scene("test", 7, index)
        assert scene.plan == plan
        assert classes_in(scene.label) == set(plan.class_ids)
        assert [one.class_id for one in scene.objects] == list(plan.class_ids)


@pytest.mark.parametrize("size", [16, 33])
def test_small_pictures_keep_every_class(size):
    for index in range(100):
        scene = render_scene("test", 7, index, size, objects=(1, 6))
        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
        assert classes_in(scene.label) == set(scene.plan.class_ids)


def test_sizes_are_as_promised(scenes):
    areas = np.array([one.area for scene in scenes for one in scene.objects])
    assert areas.min() >= 0.015
    assert areas.max() <= 0.6
    assert np.mean((areas >= 0.08) & (areas <= 0.45)) > 0.7
    assert 0.08 < np.mean(areas < 0.08) < 0.3
    assert all(one.hidden <= 0.5 for scene in scenes for one in scene.objects)


def test_occlusion_and_truncation_happen_regularly(scenes):
    crowded = [scene for scene in scenes if len(scene.objects) > 1]
    assert np.mean([any(o.hidden > 0.05 for o in scene.objects) for scene in crowded]) > 0.25
    at_edge = [
        min(o.box[0], o.box[1], 1 - o.box[2], 1 - o.box[3]) <= 0
        for scene in scenes
        for o in scene.objects
    ]
    assert 0.1 < np.mean(at_edge) < 0.6


def test_facts_agree_with_the_label(scenes):
    for scene in scenes:
        for one in scene.objects:
            rows, columns = np.nonzero(scene.label == one.class_id)
            x, y = (columns.mean() + 0.5) / SIZE, (rows.mean() + 0.5) / SIZE
            assert one.box[0] - 0.03 < x < one.box[2] + 0.03
            assert one.box[1] - 0.03 < y < one.box[3] + 0.03
            assert len(rows) / SIZE**2 <= 1.15 * one.area + 0.005


def test_border_is_present_and_thin(scenes):
    for scene in scenes:
        border = scene.label == BORDER
        assert 0 < border.mean() < 0.25
        for axis in (0, 1):  # no run of five border pixels both ways at any place
            border = border & np.roll(border, 1, axis)
        assert border.mean() < 0.06


@pytest.mark.parametrize("factor", [2, 3])
def test_resolution_does_not_change_the_content(factor):
    agreements = []
    for index in range(40):
        small = render_scene("test", 7, index, SIZE)
        large = render_scene("test", 7, index, factor * SIZE)
        assert classes_in(small.label) == classes_in(large.label)
        assert small.objects == large.objects and small.captions == large.captions
        reduced = large.label[factor // 2 :: factor, factor // 2 :: factor]
        known = (small.label != BORDER) & (reduced != BORDER)
        agreements.append((small.label == reduced)[known].mean())
    assert min(agreements) > 0.9 and np.mean(agreements) > 0.98


def test_captions_name_every_object(scenes):
    for scene in scenes:
        assert 3 <= len(scene.captions) <= 5
        for caption in scene.captions[:2]:
            assert all(one.name in caption for one in scene.objects)
        assert any(scene.background in caption for caption in scene.captions)
        together = " ".join(scene.captions)
        absent = set(CLASS_NAMES) - {one.name for one in scene.objects}
        assert not any(f" {name} " in f"{together} " for name in absent)


def test_relations_are_true(scenes):
    seen = set()
    for scene in scenes:
        for one in scene.objects:
            for other in scene.objects:
                if one is other:
                    continue
                words = relations(one, other)
                seen.update(words)
                right, down = np.subtract(one.centre, other.centre)
                assert ("to the right of" in words) <= (right > 0.1)
                assert ("to the left of" in words) <= (right < -0.1)
                assert ("below" in words) <= (down > 0.1)
                assert ("above" in words) <= (down < -0.1)
                assert ("in front of" in words) <= (other.hidden > 0)
                assert ("behind" in words) <= (one.hidden > 0)
    assert len(seen) == 7


def test_captions_only_use_relations_that_hold(scenes):
    spoken = 0
    for scene in scenes:
        by_name = {one.name: one for one in scene.objects}
        for caption in scene.captions[3:]:
            for word in ("to the left of", "to the right of", "above", "below", "in front of"):
                if f" {word} " in caption:
                    before, after = caption.split(f" {word} ")
                    one = by_name[before.split()[-1]]
                    other = next(by_name[w] for w in after.split() if w in by_name)
                    assert word in relations(one, other)
                    spoken += 1
    assert spoken > 100


def test_portraits_and_contact_sheet():
    assert portrait("mug", 1, 32).shape == (32, 32, 3)
    assert not np.array_equal(portrait("mug", 1, 32), portrait("mug", 2, 32))
    sheet = contact_sheet(size=24, per_class=1)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: render_scene("train", 0, 0, size=8), "size=8"),
        (lambda: plan_scene("train", 0, -1), "index=-1"),
        (lambda: plan_scene("train", -2, 0), "seed=-2"),
        (lambda: plan_scene("", 0, 0), "split=''"),
        (lambda: plan_scene("train", 0, 0, (0, 4)), r"objects=\(0, 4\)"),
        (lambda: plan_scene("train", 0, 0, (3, 2)), r"objects=\(3, 2\)"),
        (lambda: class_name(41), "class_id=41"),
        (lambda: class_id("dog"), "'dog'"),
        (lambda: fold_class_ids(4), "fold=4"),
        (lambda: portrait("dog"), "'dog'"),
        (lambda: contact_sheet(per_class=0), "per_class=0"),
        (lambda: Paint((0, 0, 0), "tartan"), "pattern='tartan'"),
        (lambda: Pen().polygon([(0, 0), (1, 1)], None), r"shape \(2, 2\)"),
    ],
)
def test_bad_arguments_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_any_class_may_have_any_colour():
    rng = np.random.default_rng(0)
    names = {random_look(rng).colour_name for _ in range(400)}
    assert names == set(COLOUR_NAMES)
    assert all(random_look(rng, avoid=("red",)).colour_name != "red" for _ in range(100))


def test_kept_scenes_are_the_rendered_ones(tmp_path, monkeypatch):
    """Twice from one benchmark, once from another that shares its files."""
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))
    plain = Scenes10i(33).load("val", 7)
    keeping = Scenes10i(33, keep=True)
    for benchmark in (keeping, keeping, Scenes10i(33, keep=True)):
        sample = benchmark.load("val", 7)
        np.testing.assert_array_equal(sample.image, plain.image)
        np.testing.assert_array_equal(sample.label, plain.label)
        assert sample.id == plain.id
    monkeypatch.setattr("fsslib.data.scenes.kept.render_scene", None)
    keeping.load("val", 7)
    with pytest.raises(TypeError):
        keeping.load("val", 8)
    with pytest.raises(IndexError, match="scene 4000"):
        keeping.load("val", 4000)
    assert len(pickle.dumps(keeping)) < 2000, "workers map the files themselves"


@pytest.mark.parametrize("free", [ROOM - 1, ROOM])
def test_no_scene_is_kept_on_a_disk_that_may_fill(free, tmp_path, monkeypatch, recwarn):
    """Writing to a mapped file on a full disk kills the process: nothing could be told then."""
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    benchmark = load_benchmark(Protocol.preset("scenes10i"), keep=True)
    benchmark.load("val", 7)
    assert (tmp_path / "not").exists() == (free >= ROOM)
    messages = [str(warning.message) for warning in recwarn]
    assert any("2.0 GB free" in one and "FSSLIB_DATA" in one for one in messages) == (free < ROOM)
