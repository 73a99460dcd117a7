"""The page itself, without a browser: what is asked when, and what is shown of it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fsslib.own_pictures.answer import Segmentation
from fsslib.own_pictures.playground import page
from fsslib.own_pictures.playground.asking import Answer
from fsslib.own_pictures.playground.menu import GAMMA
from fsslib.own_pictures.playground.page import Playground
from fsslib.own_pictures.playground.results import shown, shown_maps


def png(width=40, height=30, mode="RGB"):
    content = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).convert(mode).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def calls(monkeypatch):
    """Every question, in place of networks; each answer is a ramp from 0 to 1."""
    questions = []

    def ask(case, entry, options=None):
        if missing := entry.lacks(case.marked, bool(case.word)):
            raise ValueError(f"{entry.name} reads a {missing}, and there is none; give one")
        questions.append((case, entry.name, dict(options or {})))
        height, width = case.query.shape[:2]
        ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
        maps = {"prior": ramp}
        answer = Segmentation(
            (ramp > 0.5).astype(np.uint8), ramp[None], case.query, ("thing",), "m", "r", 0.1, maps
        )
        return Answer(entry, answer, 0.1)

    monkeypatch.setattr(page, "ask", ask)
    return questions


@pytest.fixture
def playground(calls, tmp_path):
    return Playground(tmp_path / "cases")


def test_it_opens_with_an_example_answered(playground, calls):
    assert [name for _, name, _ in calls] == [*page.FIRST]
    picture, maps = playground.columns.pairs["PFENet"]
    assert "IoU" in picture.value and 'alt="PFENet' in picture.value and "prior<br>" in maps.value
    assert "missed" in playground.columns.legend.value


def test_without_a_kernel_a_figure_stands_there(playground):
    data, _ = playground._repr_mimebundle_()
    assert data["image/jpeg"] and "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("support; PFENet: IoU")


def test_the_threshold_asks_nobody(playground, calls):
    before, calls[:] = playground.columns.pairs["PFENet"][0].value, []
    maps = playground.columns.pairs["PFENet"][1].value
    playground.threshold.value = 0.9
    assert not calls and playground.columns.pairs["PFENet"][0].value != before
    assert playground.columns.pairs["PFENet"][1].value == maps


def test_equal_maps_are_shown_once_under_all_of_their_names(playground):
    answer = playground.answers["PFENet"]
    ramp = answer.segmentation.maps["prior"]
    maps = {"prior": ramp, "other": 1 - ramp, "prior_per_shot": ramp.copy()}
    html = shown_maps(replace(answer, segmentation=replace(answer.segmentation, maps=maps)))
    assert html.count("<img") == 2 and "prior, prior_<wbr>per_<wbr>shot<br>" in html


@pytest.mark.parametrize(
    "threshold, message",
    [(0.99954, "<b>not there</b>: score 0.987 is below the calibrated threshold 0.99954"),
     (0.5, "there: score 0.987 reaches the calibrated threshold 0.50"),
     (None, "score 0.987; no threshold calibrated")],
)  # fmt: skip
def test_not_there_says_why(playground, threshold, message):
    answer = playground.answers["PFENet"]
    confident = np.full_like(answer.segmentation.probability, 0.987)
    believed = replace(answer.segmentation, probability=confident, threshold=threshold)
    assert message in shown(replace(answer, segmentation=believed), None, 0.5)


def test_an_option_asks_its_methods_alone(playground, calls):
    calls.clear()
    slider = next(c for c in playground.adjust.children if c.option is GAMMA)
    slider.value = 0.6
    assert [(name, options) for _, name, options in calls] == [
        ("CLIP-DINOiser, by mask", {GAMMA: 0.6})
    ]


def test_two_photographs_and_a_stroke_give_a_mask(playground, calls):
    """What a newcomer does: bring two pictures, mark the object. Three actions."""
    calls.clear()
    playground.inputs.take("support", png(), "cup.png")
    playground.inputs.take("query", png(50, 20, "L"), "desk.png")
    assert not calls and not playground.answers
    assert "Mark the object on the support: PFENet; CLIP-DINOiser, by mask;" in (
        playground.status.value
    )
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:20] = 1
    playground.inputs.support.mask = mask
    assert {name for _, name, _ in calls} == {*page.FIRST}
    case = calls[-1][0]
    assert case.query.shape == (20, 50, 3) and case.truth is None and case.word == ""
    assert "drawings alone" in playground.status.value and not playground.columns.legend.value
    assert "IoU" not in playground.columns.pairs["PFENet"][0].value


def test_files_that_are_no_pictures_change_nothing(playground):
    before = playground.inputs.support.picture
    for content, name in (
        (b"hello", "cup.png"),
        (b"%!PS-Adobe", "cup.jpg"),
        (png()[:60], "../c.png"),
    ):
        playground.inputs.take("support", content, name)
        assert (
            name.split("/")[-1] in playground.status.value and "/tmp" not in playground.status.value
        )
    assert playground.inputs.support.picture is before and not playground.inputs.own


def test_large_pictures_are_made_smaller(playground):
    playground.inputs.take("query", png(2400, 1000), "wide.png")
    assert playground.inputs.query.picture.shape == (500, 1200, 3)


def test_switches_that_teach(playground, calls):
    own = playground.inputs.case
    for name, differs in (
        ("stranger", lambda case: case.support is not own.support and case.word == own.word),
        ("word", lambda case: case.word != own.word and case.support is own.support),
        ("background", lambda case: (case.support != own.support).any() and case.mask is own.mask),
    ):
        calls.clear()
        playground.switches[name].value = True
        assert calls and differs(calls[-1][0]), name
        playground.switches[name].value = False


def test_words_that_nobody_here_knows(playground, calls):
    playground.buttons["CLIP-DINOiser, by word"].value = True
    playground.inputs.word.value = "hose"
    assert "did you mean" in playground.status.value
    assert "CLIP-DINOiser, by word" not in playground.answers and "PFENet" in playground.answers


def test_other_weights_have_another_menu(playground, calls):
    calls.clear()
    playground.weights.value = "imagenet"
    assert [name for _, name, _ in calls] == ["grid_prototype, by mask"]
    assert list(playground.columns.pairs) == ["grid_prototype, by mask"]


def test_a_case_is_saved_as_it_is_without_the_switches(playground, tmp_path):
    playground.switches["background"].value = True
    folder = playground.save_case()
    assert folder.parent == tmp_path / "cases" and "fsslib segment" in playground.saved.value
    word = playground.inputs.case.word
    saved = np.array(Image.open(folder / word / "images" / "support.png"))
    np.testing.assert_array_equal(saved, playground.inputs.support.picture)
    playground.inputs.support.clear()
    assert playground.save_case() is None and "paint it" in playground.saved.value
