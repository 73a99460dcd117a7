"""Figures and widgets, without a browser."""

import numpy as np
import pytest
import torch
from ipywidgets import FloatSlider, HBox, IntSlider
from stand_ins import random_episodes

from fsslib.data.episode import Episode, stack
from fsslib.viz import plots, widgets
from fsslib.viz.overlay import overlay, palette
from fsslib.viz.runs import show_contrast, show_curves, show_predictions


def single(shot: int = 2, way: int = 1) -> Episode:
    batch = random_episodes(batch=1, shot=shot, size=33, way=way)
    tensors = ("query_image", "query_mask", "support_images", "support_masks", "class_ids")
    values = {name: getattr(batch, name)[0] for name in tensors}
    return Episode(**values, class_names=batch.class_names[0], ids=batch.ids[0])


def test_overlay_tints_labels_and_whitens_ignored_pixels():
    image = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    mask = torch.zeros(8, 8, dtype=torch.uint8)
    mask[2:7, 2:7], mask[0] = 1, 255
    result = overlay(image, mask, alpha=0.5)
    colour = palette(1)[0]
    assert (result[0] == 255).all() and (result[1] == 100).all()
    assert np.abs(result[4, 4] - (50 + colour / 2)).max() <= 1, "inside: half picture, half colour"
    assert (result[2, 2] == colour).all(), "outline: the colour itself"
    with pytest.raises(ValueError, match="differ in size"):
        overlay(image, mask[:4])


def test_figures_show_what_they_are_given():
    episode = single(shot=2, way=2)
    assert len(plots.show_episode(episode, "title").axes) == 2 * 2 + 2
    maps = {"prior": torch.rand(33, 33)}
    figure = plots.show_prediction(single(), single().query_mask, maps)
    assert [axis.get_title() for axis in figure.axes][-3:] == ["prior", "prediction", "truth"]
    batch = stack([single(), single()])
    assert len(show_predictions(batch, batch.query_mask).axes) == 6
    several = plots.show_prediction(single(way=3), single().query_mask, maps)
    assert len(several.axes) == 3 + 4
    batch = stack([single(way=2), single(way=2)])
    assert len(show_predictions(batch, batch.query_mask).axes) == 2 * 4
    bars = plots.show_bars({"a": 1.0, "b": 2.0}, "IoU", {"a": (0.5, 1.5), "b": (1.0, 3.0)})
    assert bars.axes[0].get_xlabel() == "IoU"


def test_curves_have_a_panel_for_each_kind_of_row():
    losses = [{"step": s, "loss": 1 / s, "split": "train"} for s in range(1, 30)]
    scores = [{"step": 10, "split": "base", "miou": 0.4}]
    assert len(show_curves(losses).axes) == 1
    figure = show_curves(losses + scores)
    assert figure.axes[1].get_legend_handles_labels()[1] == ["classes trained on"]


def test_contrast_curves_have_a_line_of_what_guessing_costs():
    losses = [
        {
            "step": s,
            "local_loss": 5.0,
            "local_chance": 7.5,
            "global_loss": 4.0,
            "global_chance": 6.0,
        }
        for s in range(1, 30)
    ]
    figure = show_contrast(losses)
    assert len(figure.axes) == 1
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["local: ln(K+1)"].get_ydata()[0] == 7.5
    assert lines["global: ln(K+1)"].get_ydata()[0] == 6.0
    looks = [{"step": 10, "prototype_miou": 0.1, "prototype_auroc": 0.7}]
    assert len(show_contrast(losses + looks).axes[1].lines) == 2


def sliders(box) -> dict:
    controls = box.children[0]
    assert isinstance(controls, HBox)
    return {control.description: control for control in controls.children}


def test_episode_browser_reads_the_chosen_episode():
    asked = []
    box = widgets.episode_browser(lambda n: asked.append(n) or single(), 5)
    slider = sliders(box)["episode"]
    assert isinstance(slider, IntSlider) and not slider.continuous_update and slider.max == 4
    slider.value = 3
    assert asked[-1] == 3
    assert box.children[1].layout.min_height == widgets.HEIGHT


def test_threshold_explorer_redraws_from_cached_maps(monkeypatch):
    drawn = []
    real = widgets.threshold_figure
    monkeypatch.setattr(widgets, "threshold_figure", lambda *a: drawn.append(a[3]) or real(*a))
    image, prior = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.rand(8, 8)
    box = widgets.threshold_explorer([image], [prior], [(prior > 0.5).byte()])
    threshold = sliders(box)["threshold"]
    assert isinstance(threshold, FloatSlider)
    threshold.value = 0.5
    assert drawn[-1] == 0.5


def test_iou_by_hand():
    prediction, mask = np.array([[1, 1, 0, 1]]), np.array([[1, 0, 1, 255]])
    assert widgets.iou(prediction, mask) == pytest.approx(1 / 3)
    assert widgets.iou(np.zeros((1, 2)), np.zeros((1, 2))) == 1.0
    figure = widgets.threshold_figure(np.zeros((1, 4, 3), np.uint8), np.eye(1, 4), mask, 0.5)
    assert figure.axes[2].get_title() == "prior > 0.50: IoU 50 %"


def test_patch_colours_are_means_of_patches():
    image = np.zeros((5, 4, 3), np.uint8)  # the last row is left over
    image[:2, :2], image[2:4, 2:] = (255, 0, 0), (0, 0, 128)
    assert widgets.patch_colours(image, (2, 2)) == ["#ff0000", "#000000", "#000000", "#000080"]


def test_a_click_on_a_patch_moves_the_sliders():
    pictures = [np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 255, np.uint8)]
    which = IntSlider(0, 0, 1)
    box, row, column = widgets.patch_picker(pictures, (2, 3), which)
    box.children[5].click()
    assert (row.value, column.value) == (1, 2)
    assert box.children[0].style.button_color == "#000000"
    which.value = 1
    assert {button.style.button_color for button in box.children} == {"#ffffff"}
