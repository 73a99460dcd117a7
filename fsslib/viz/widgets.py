"""Widgets of the lessons: the episode browser and the threshold explorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np

from fsslib.data.episode import Episode
from fsslib.viz.explorer import Explorer, choice, explorer, word_box
from fsslib.viz.overlay import iou
from fsslib.viz.panel import Panel
from fsslib.viz.patches import PatchPicker, framed
from fsslib.viz.plots import annotated_support, judged, query_with, show_episode, show_images
from fsslib.viz.sharp import Picture, to_array


def episode_browser(read: Callable[[int], Episode], count: int) -> Explorer:
    """Leaf through episodes; `read(number)` gives a single one."""
    number = widgets.IntSlider(0, 0, count - 1, description="episode")
    return explorer(lambda number: show_episode(read(number)), number=number)


def threshold_figure(episode: Episode, prior: Picture, threshold: float) -> Panel:
    """Support and class, query, prior, prior cut at the threshold with its IoU, ground truth.

    Args:
        episode: a single one, of one class.
        prior: (h,w) in 0..1, of the query's size.
    """
    (name,) = episode.class_names
    cut = (to_array(prior) > threshold).astype(np.uint8)
    cells = [
        annotated_support(episode, 0),
        episode.query_image,
        prior,
        judged(episode, cut),
        query_with(episode, episode.query_mask),
    ]
    titles = [f"support: {name}", "query", "prior mask", f"prior > {threshold:.2f}"]
    return show_images(cells, [*titles, f"ground truth: {name}"])


def threshold_explorer(episodes: Sequence[Episode], priors: Sequence[Picture]) -> Explorer:
    """Cut cached prior masks at any height and watch the IoU."""
    episode = widgets.IntSlider(0, 0, len(episodes) - 1, description="episode")
    threshold = widgets.FloatSlider(0.7, min=0.0, max=1.0, step=0.02, description="threshold")

    def draw(episode: int, threshold: float) -> Panel:
        return threshold_figure(episodes[episode], priors[episode], threshold)

    return explorer(draw, episode=episode, threshold=threshold)


__all__ = [
    "Explorer",
    "PatchPicker",
    "choice",
    "episode_browser",
    "explorer",
    "framed",
    "iou",
    "threshold_explorer",
    "threshold_figure",
    "word_box",
]
