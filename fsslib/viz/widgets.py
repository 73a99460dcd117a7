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
    """Controls over `draw(**values) -> Figure`, redrawn in a box that never gets lower.

    `continuous_update` is off for every slider: a picture is drawn when the handle is let go.
    """
    for control in controls.values():
        control.layout.flex = "0 0 auto"  # rather a second row than sliders without a track
        control.style.description_width = "initial"  # rather a long label than half of one
        if hasattr(control, "continuous_update"):
            control.continuous_update = False

    def show(**values: Any) -> None:
        display(draw(**values))

    output = widgets.interactive_output(show, controls)
    output.layout.min_height = HEIGHT  # no jumping while a picture is replaced
    rows = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox([widgets.HBox(list(controls.values()), layout=rows), output])


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


def patch_picker(
    pictures: Sequence[Picture], grid: tuple[int, int], picture: widgets.IntSlider
) -> tuple[widgets.GridBox, widgets.IntSlider, widgets.IntSlider]:
    """A picture made of buttons, one a patch in its mean colour, and sliders for row and column.

    Clicking a patch moves the sliders; moving `picture` shows another one.

    Args:
        pictures: (3,h,w) uint8 each.
        grid: rows and columns of patches.
    """
    rows, columns = grid
    row = widgets.IntSlider(rows // 2, 0, rows - 1, description="row")
    column = widgets.IntSlider(columns // 2, 0, columns - 1, description="column")
    small = widgets.Layout(width="18px", height="18px", margin="0", padding="0")
    buttons = [widgets.Button(layout=small) for _ in range(rows * columns)]

    def click(number: int) -> None:
        row.value, column.value = divmod(number, columns)

    def paint(_: object = None) -> None:
        for button, colour in zip(
            buttons, patch_colours(pictures[picture.value], grid), strict=True
        ):
            button.style.button_color = colour

    for number, button in enumerate(buttons):
        button.on_click(lambda _, number=number: click(number))
    picture.observe(paint, "value")
    paint()
    template = widgets.Layout(grid_template_columns=f"repeat({columns}, 18px)", grid_gap="0")
    return widgets.GridBox(buttons, layout=template), row, column


def patch_colours(image: Picture, grid: tuple[int, int]) -> list[str]:
    """Mean colour of every patch, row by row, as #rrggbb; what is left over is cut off."""
    pixels = to_array(image)
    side = [length // count for length, count in zip(pixels.shape[:2], grid, strict=True)]
    cut = pixels[: side[0] * grid[0], : side[1] * grid[1]]
    means = cut.reshape(grid[0], side[0], grid[1], side[1], 3).mean((1, 3)).astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in means.reshape(-1, 3)]
