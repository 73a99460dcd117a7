"""Widgets, without a browser."""

import base64

import numpy as np
import pytest
import torch
import traitlets
from ipywidgets import Combobox, IntSlider, ToggleButtons
from stand_ins import random_episodes

from fsslib.viz import widgets
from fsslib.viz.plots import show_images


def picture(shade=0):
    return show_images([np.full((8, 8, 3), shade, np.uint8)], [f"shade {shade}"])


def shown(box):
    """The text of the figure in the output; None where there is none."""
    return box.output.outputs[0]["data"]["text/plain"] if box.output.outputs else None


def test_an_explorer_redraws_once_while_a_slider_moves():
    drawn = []
    box = widgets.explorer(lambda n: drawn.append(n) or picture(n), n=IntSlider(3, 0, 9))
    slider = box.controls["n"]
    assert drawn == [3] and slider.continuous_update and box.output.layout.min_height is None
    slider.value = 5
    assert drawn == [3, 5] and shown(box) == "shade 5" == box.helper.alt


def test_the_first_figure_stands_where_no_kernel_is():
    box = widgets.explorer(lambda n: picture(n), n=IntSlider(3, 0, 9))
    box.controls["n"].value = 4
    data, metadata = box._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == "shade 3" == metadata["image/jpeg"]["alt"]
    assert data["image/jpeg"] == picture(3).jpeg
    output = box.output.outputs[0]["data"]["image/jpeg"]
    assert base64.b64decode(output) == picture(4).jpeg


def test_short_lists_are_buttons_and_long_ones_boxes():
    assert isinstance(widgets.choice(["a", "b"]), ToggleButtons)
    pairs = widgets.choice([("one", 1), ("two", 2)], 2, "which")
    assert pairs.value == 2 and pairs.description == "which"
    names = [f"name {n}" for n in range(40)]
    box = widgets.choice(names, "name 7")
    assert isinstance(box, Combobox) and box.value == "name 7" and box.options == tuple(names)


def test_a_box_draws_known_words_only():
    drawn = []
    known = ["mug", "moon", "umbrella", *"abcdef"]
    draw = lambda word: drawn.append(word) or picture()  # noqa: E731
    box = widgets.explorer(draw, word=widgets.choice(known))
    word = box.controls["word"]
    word.value = ""
    assert shown(box) is None and box.message.value == "Type a word."
    word.value = "umbrela"
    assert shown(box) is None and "did you mean 'umbrella'" in box.message.value
    word.value = "umbrella"
    assert shown(box) and not box.message.value and drawn == ["mug", "umbrella"]
    word.value = "umbr"
    assert shown(box) and box.message.value, "the last figure stays while a word is typed"


def test_free_words_go_to_the_figure_and_what_it_refuses_is_a_sentence():
    def draw(word):
        if word == "xyz":
            raise ValueError("nobody knows 'xyz'")
        return picture()

    box = widgets.explorer(draw, word=widgets.word_box(["mug"], others=True))
    box.controls["word"].value = "grass"
    assert shown(box)
    box.controls["word"].value = "xyz"
    assert box.message.value == "nobody knows 'xyz'"


def test_what_is_written_in_a_message_is_text():
    box = widgets.explorer(lambda word: picture(), word=widgets.choice([*"abcdefg"]))
    box.controls["word"].value = "<b>x</b>"
    assert "<b>" not in box.message.value


def single():
    return random_episodes(batch=1, shot=1, size=33)[0]


def test_episode_browser_reads_the_chosen_episode():
    loaded = []
    box = widgets.episode_browser(lambda n: loaded.append(n) or single(), 5)
    assert box.controls["number"].max == 4
    box.controls["number"].value = 3
    assert loaded == [0, 3]


def test_threshold_explorer_shows_support_class_and_iou():
    episode, prior = single(), torch.rand(33, 33)
    box = widgets.threshold_explorer([episode], [prior])
    box.controls["threshold"].value = 0.5
    (name,) = episode.class_names
    assert f"support: {name}" in shown(box) and "prior > 0.50: IoU " in shown(box)


def test_iou_by_hand():
    prediction, mask = np.array([[1, 1, 0, 1]]), np.array([[1, 0, 1, 255]])
    assert widgets.iou(prediction, mask) == pytest.approx(1 / 3)
    assert widgets.iou(np.zeros((1, 2)), np.zeros((1, 2))) == 1.0


def test_a_framed_patch_is_where_it_should_be():
    image = np.full((97, 97, 3), 100, np.uint8)
    pixels = widgets.framed(image, (2, 3), (12, 12)).pixels  # patches of 8, enlarged by 4
    assert (pixels[64:96, 96:128] == 100).all(), "the patch itself stays"
    assert (pixels[58:61, 110] == 255).all() and (pixels[61:64, 110] == 0).all()
    changed = np.argwhere((pixels != 100).any(-1))
    assert changed.min(0).tolist() == [55, 87] and changed.max(0).tolist() == [104, 136]
    with pytest.raises(ValueError, match="not in a grid of 12 x 12"):
        widgets.framed(image, (12, 0), (12, 12))


def test_a_click_changes_the_patch_at_once():
    pictures = [np.zeros((96, 96, 3), np.uint8), np.full((96, 96, 3), 255, np.uint8)]
    which, drawn = IntSlider(0, 0, 1), []
    picker = widgets.PatchPicker(pictures, (12, 12), which)
    box = widgets.explorer(
        lambda which, patch: drawn.append((which, patch)) or picture(), which=which, patch=picker
    )
    assert box.controls["patch"] is picker and drawn == [(0, (6, 6))]
    picker.value = (3, 4)  # what a click sends
    assert drawn[1:] == [(0, (3, 4))], "one redraw"
    before = picker.picture
    which.value = 1
    assert drawn[2:] == [(1, (3, 4))] and picker.picture != before
    with pytest.raises(traitlets.TraitError, match="grid of 12 x 12"):
        picker.value = (12, 0)
