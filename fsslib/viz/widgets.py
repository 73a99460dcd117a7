"""Widgets of the lessons: sliders over things that were computed before.

A callback never runs a network; it looks up and draws. Every widget has a plain function behind
it that makes the same picture, so that a static figure can stand under the widget and tests need
no browser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from fsslib.data.episode import IGNORE, Episode
from fsslib.viz.overlay import to_array
from fsslib.viz.plots import Picture, overlay, show_episode, show_images

HEIGHT = "260px"


def explorer(draw: Callable[..., Figure], **controls: Any) -> widgets.VBox:
    """Controls over `draw(**values) -> Figure`, redrawn in a box of fixed height.

    `continuous_update` is off for every slider: a picture is drawn when the handle is let go.
    """
    for control in controls.values():
        if hasattr(control, "continuous_update"):
            control.continuous_update = False

    def show(**values: Any) -> None:
        display(draw(**values))

    output = widgets.interactive_output(show, controls)
    output.layout.height = HEIGHT  # no jumping while a picture is replaced
    return widgets.VBox([widgets.HBox(list(controls.values())), output])


def episode_browser(read: Callable[[int], Episode], count: int) -> widgets.VBox:
    """Leaf through episodes; `read(number)` gives a single one."""
    number = widgets.IntSlider(0, 0, count - 1, description="episode")
    return explorer(lambda number: show_episode(read(number)), number=number)


def threshold_figure(image: Picture, prior: Picture, mask: Picture, threshold: float) -> Figure:
    """Query, prior, prior cut at the threshold with its IoU, truth.

    Args:
        image: (3,h,w) uint8. prior: (h,w) in 0..1. mask: (h,w) labels, 255 ignored.
    """
    prior, mask = to_array(prior), to_array(mask)
    cut = (prior > threshold).astype(np.uint8)
    pictures = [image, prior, overlay(image, cut), overlay(image, mask)]
    score = f"prior > {threshold:.2f}: IoU {100 * iou(cut, mask):.0f} %"
    return show_images(pictures, ["query", "prior mask", score, "truth"], columns=4, side=2.1)


def threshold_explorer(
    images: Sequence[Picture], priors: Sequence[Picture], masks: Sequence[Picture]
) -> widgets.VBox:
    """Cut cached prior masks at any height and watch the IoU."""
    episode = widgets.IntSlider(0, 0, len(images) - 1, description="episode")
    threshold = widgets.FloatSlider(0.7, min=0.0, max=1.0, step=0.02, description="threshold")

    def draw(episode: int, threshold: float) -> Figure:
        return threshold_figure(images[episode], priors[episode], masks[episode], threshold)

    return explorer(draw, episode=episode, threshold=threshold)


def iou(prediction: np.ndarray, mask: np.ndarray) -> float:
    """IoU of label 1, pixels of 255 left out; 1 where neither has any."""
    valid = mask != IGNORE
    hit = ((prediction == 1) & (mask == 1) & valid).sum()
    union = (((prediction == 1) | (mask == 1)) & valid).sum()
    return float(hit / union) if union else 1.0
