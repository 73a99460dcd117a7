"""Questions of the playground: what the switches make of them, what methods lack, what is saved."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from fsslib.data.folder import FolderBenchmark
from fsslib.data.scenes import CLASS_NAMES
from fsslib.own_pictures import segmenting
from fsslib.own_pictures.command import main
from fsslib.own_pictures.playground import asking
from fsslib.own_pictures.playground.asking import ask
from fsslib.own_pictures.playground.case import GREY, Case, with_stranger, without_background
from fsslib.own_pictures.playground.examples import example, stranger
from fsslib.own_pictures.playground.menu import GAMMA, adjusted, menu
from fsslib.own_pictures.playground.saving import class_folder, free_folder, save_case
from fsslib.runs.config import parse

RNG = np.random.default_rng(0)


def picture(height=20, width=30):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def marked(height=20, width=30):
    mask = np.zeros((height, width), np.uint8)
    mask[4:12, 6:20] = 1
    return mask


@pytest.fixture
def case():
    return Case(picture(), marked(), picture(24, 16), "paper cup", marked(24, 16))


def test_a_case_is_of_one_size():
    with pytest.raises(ValueError, match=r"mask .*differ in size"):
        Case(picture(), marked(10, 30), picture())
    with pytest.raises(ValueError, match=r"truth .*differ in size"):
        Case(picture(), marked(), picture(), truth=marked(5, 5))


def test_switches_change_the_support_alone(case):
    other = Case(picture(9, 9), np.ones((9, 9), np.uint8), picture(), "house")
    changed = with_stranger(case, other)
    assert changed.support is other.support and changed.mask is other.mask
    assert changed.query is case.query and changed.word == "paper cup"
    unknown = case.mask.copy()
    unknown[0, 0] = 255
    alone = without_background(replace(case, mask=unknown))
    inside = unknown > 0
    np.testing.assert_array_equal(alone.support[inside], case.support[inside])
    assert (alone.support[~inside] == GREY).all() and alone.query is case.query


def test_examples_are_questions_with_their_truth():
    one, other = example(3), stranger(3)
    assert one.marked and (one.truth == 1).any() and one.word in CLASS_NAMES
    assert other.word != one.word and other.marked
    assert one.support.shape == (388, 388, 3)


def test_the_menu_says_what_methods_lack(case):
    entries = menu("scenes")
    assert entries["PFENet"].lacks(marked=False, named=True) == "mask"
    assert entries["PFENet with PI-CLIP"].lacks(marked=False, named=False) == "mask and word"
    assert entries["CLIP-DINOiser, by word"].lacks(marked=False, named=True) is None
    for entry in entries.values():
        assert entry.choice.label, "every entry is a method that runs know"
    assert all("mask" in entry.reads for entry in menu("imagenet").values())
    assert {"mask", "word"} == {w for entry in menu("openai").values() for w in entry.reads}
    unmarked = replace(case, mask=0 * case.mask)
    with pytest.raises(ValueError, match="PFENet reads a mask, and there is none"):
        ask(unmarked, entries["PFENet"])


class Part:
    def __init__(self, config):
        self.config = config


def test_options_leave_the_method_as_it_is():
    from torch import nn

    from fsslib.methods.clip_dinoiser.config import DinoiserConfig

    method = nn.Module()
    part = nn.Module()
    part.config, method.dinoiser = DinoiserConfig(), part
    other = adjusted(method, {GAMMA: 0.6})
    assert other.dinoiser.config.gamma == 0.6 and method.dinoiser.config.gamma == 0.2
    assert other is not method and method.dinoiser is part


def test_a_saved_case_is_read_by_the_benchmark_and_by_the_command(case, tmp_path, monkeypatch):
    facts = save_case(case, tmp_path / "cups")
    assert facts == json.loads((tmp_path / "cups" / "case.json").read_text())
    benchmark = FolderBenchmark(tmp_path / "cups")
    assert benchmark.class_names == ("paper cup",)
    samples = [benchmark.load("val", index) for index in range(2)]
    expected = {"paper_cup/query": case.truth, "paper_cup/support": case.mask}
    for sample in samples:
        np.testing.assert_array_equal(sample.label, expected[sample.id])
    assert not list(benchmark.unread_folders()) and not list(benchmark.unread_files())

    values = (word.partition("=") for word in shlex.split(facts["evaluate"]) if "=" in word)
    monkeypatch.chdir(tmp_path)
    parse("evaluate", {name: yaml.safe_load(value) for name, _, value in values})

    choices = []
    monkeypatch.setattr(segmenting, "build", lambda chosen: choices.append(chosen))
    program, command, *arguments = shlex.split(facts["segment"])
    assert (program, command) == ("fsslib", "segment")
    with pytest.raises(AttributeError):  # as there is no method to ask: pictures and mask were read
        main(arguments)
    assert len(choices) == 1


def test_without_a_truth_the_query_stays_out_of_the_benchmark(case, tmp_path):
    facts = save_case(replace(case, truth=None, word=""), tmp_path / "case")
    assert (
        facts["query"] == "query.png"
        and "evaluate" not in facts
        and "--name" not in facts["segment"]
    )
    assert [p.name for p in (tmp_path / "case" / "object" / "images").iterdir()] == ["support.png"]
    saved = np.array(Image.open(tmp_path / "case" / "query.png"))
    np.testing.assert_array_equal(saved, case.query)


def test_nothing_is_lost_or_half_written(case, tmp_path, monkeypatch):
    save_case(case, tmp_path / "cup-1")
    with pytest.raises(FileExistsError, match="choose a new folder"):
        save_case(case, tmp_path / "cup-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in (tmp_path, "~"):
        assert free_folder(root, "cup") == tmp_path / "cup-2"
    with pytest.raises(ValueError, match="nothing of the support is marked"):
        save_case(replace(case, mask=0 * case.mask), tmp_path / "cup-2")

    def full(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr("fsslib.own_pictures.playground.saving.write_json", full)
    with pytest.raises(OSError, match="full"):
        save_case(case, tmp_path / "cup-2")
    assert [path.name for path in tmp_path.iterdir()] == ["cup-1"]


@pytest.mark.parametrize(
    ("word", "folder"),
    [("paper cup", "paper_cup"), ("../x", "x"), ("  ", "object"), ("é/ü", "é_ü")],
)
def test_class_folders(word, folder):
    assert class_folder(word) == folder


def test_scores_leave_unknown_pixels_out(case):
    answer = asking.Answer(menu("scenes")["PFENet"], Said(case), 0.1)
    truth = case.truth.copy()
    assert answer.iou(truth) == 1 and answer.iou(None) is None
    assert answer.mask(0.95).sum() == 0 and answer.iou(truth, 0.95) == 0


class Said:
    """A segmentation that is right, and 90 % sure of it."""

    def __init__(self, case):
        self.probability = 0.9 * case.truth[None].astype(np.float32)
