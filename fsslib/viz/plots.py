"""Static figures: episodes, predictions, maps and rows of pictures.

Every function returns a figure of fixed size and shows nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.viz.overlay import overlay, palette, to_array

Picture = Tensor | np.ndarray


def show_images(
    images: Sequence[Picture], titles: Sequence[str] = (), columns: int = 6, side: float = 1.7
) -> Figure:
    """Pictures (uint8, or maps drawn from 0 to 1) in rows, each `side` inches wide."""
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    height = (side + 0.25 * bool(titles)) * rows
    figure, axes = plt.subplots(rows, columns, figsize=(side * columns, height), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image in zip(axes.flat, images, strict=False):
        show_map(axis, image)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=9)
    return _finished(figure)


def show_map(axis: Axes, picture: Picture) -> None:
    """A picture as it is, or a map (h,w) in 0..1 from dark to light, without ticks."""
    axis.imshow(to_array(picture), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    axis.set(xticks=[], yticks=[])


def show_episode(episode: Episode, title: str = "") -> Figure:
    """The supports of each class with their masks, the query, and its true mask."""
    pictures, names = [], []
    for n, name in enumerate(episode.class_names):
        for k in range(episode.shot):
            pictures.append(annotated_support(episode, n, k))
            names.append(f"support: {name}")
    pictures += [episode.query_image, overlay(episode.query_image, episode.query_mask)]
    figure = show_images(pictures, [*names, "query", "truth"], columns=8)
    if title:
        figure.suptitle(title, y=1.04, fontsize=10)
    return figure


def annotated_support(episode: Episode, number: int, shot: int = 0) -> np.ndarray:
    """A support of class `number` with its mask in that class's colour, as in the query."""
    mask = episode.support_masks[number, shot].clone()
    mask[mask == 1] = number + 1
    return overlay(episode.support_images[number, shot], mask)


def show_prediction(
    episode: Episode, prediction: Tensor, maps: dict[str, Picture] | None = None
) -> Figure:
    """First support of each class, query, any maps, prediction and truth, side by side.

    Args:
        episode: a single episode.
        prediction: labels (h,w).
        maps: by name, (h,w) in 0..1.
    """
    maps = maps or {}
    pictures = [
        *(annotated_support(episode, number) for number in range(episode.way)),
        episode.query_image,
        *maps.values(),
        overlay(episode.query_image, prediction),
        overlay(episode.query_image, episode.query_mask),
    ]
    first = [f"support: {name}" for name in episode.class_names]
    return show_images(pictures, [*first, "query", *maps, "prediction", "truth"], columns=8)


def show_bars(values: dict[str, float], label: str, intervals: dict | None = None) -> Figure:
    """Horizontal bars, in the order given, with intervals (low, high) as whiskers."""
    figure, axis = plt.subplots(figsize=(6.5, 0.6 + 0.32 * len(values)))
    names, heights = list(values), np.array(list(values.values()))
    whiskers = None
    if intervals:
        bounds = np.array([intervals[name] for name in names])
        whiskers = np.abs(bounds.T - heights)
    axis.barh(names, heights, color=palette(2)[-1] / 255, xerr=whiskers, height=0.65)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    figure.tight_layout(pad=0.3)
    plt.close(figure)  # a cell that ends with the figure shows it once, not twice
    return figure


__all__ = [
    "overlay",
    "palette",
    "show_bars",
    "show_episode",
    "show_images",
    "show_map",
    "show_prediction",
]
