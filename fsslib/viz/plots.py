"""Static figures: episodes, predictions, maps and rows of pictures.

Every function returns a figure and shows nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.viz.cells import Cell, Map
from fsslib.viz.overlay import Drawing, overlay, palette
from fsslib.viz.padding import unpadded
from fsslib.viz.panel import MOST_COLUMNS, Panel, panel
from fsslib.viz.prose import minus
from fsslib.viz.sharp import Picture, recognise


def show_images(
    images: Sequence[Cell],
    titles: Sequence[str] = (),
    columns: int = MOST_COLUMNS,
    side: int | None = None,
    title: str = "",
) -> Panel:
    """Pictures, drawings and maps (from 0 to 1) in rows of `columns`; see `panel`.

    Rows that are too long wrap together; a last row that is not full does so alone.
    """
    if len(images) <= columns or len(images) % columns:
        return panel([images], titles, columns, title=title, side=side)
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    return panel(rows, titles, columns, title=title, side=side)


def show_episode(episode: Episode, title: str = "") -> Panel:
    """The supports of each class with their masks, the query, and its ground truth."""
    cells, titles = [], []
    for number, name in enumerate(episode.class_names):
        for shot in range(episode.shot):
            cells.append(annotated_support(episode, number, shot))
            titles.append(f"support: {name}")
    cells += [query_of(episode), query_with(episode, episode.query_mask)]
    return show_images(cells, [*titles, "query", "ground truth"], title=title)


def annotated_support(episode: Episode, number: int, shot: int = 0) -> Drawing:
    """A support of class `number` with its mask, of several classes in that class's colour."""
    recognise(episode)
    image, mask = unpadded(
        episode.support_images[number, shot], episode.support_masks[number, shot].clone()
    )
    mask[mask == 1] = number + 1
    names = [""] * number + [episode.class_names[number]] if episode.way > 1 else ()
    return overlay(image, mask, names=names)


def query_of(episode: Episode) -> Tensor:
    """The query (3,h,w) without what it was padded with."""
    recognise(episode)
    return unpadded(episode.query_image, episode.query_mask)[0]


def query_with(episode: Episode, mask: Tensor) -> Drawing:
    """The query with a mask; its classes are named in the picture where there are several."""
    recognise(episode)
    image, _, mask = unpadded(episode.query_image, episode.query_mask, mask)
    return overlay(image, mask, names=episode.class_names[: _several(episode)])


def show_prediction(
    episode: Episode, prediction: Tensor, maps: dict[str, Picture] | None = None, title: str = ""
) -> Panel:
    """First support of each class, query, any maps, prediction and ground truth, side by side.

    Of one class, the prediction's colours say what was hit and missed, its title the IoU.

    Args:
        episode: a single episode.
        prediction: labels (h,w).
        maps: by name, (h,w) in 0..1.
    """
    maps = maps or {}
    cells = [
        *(annotated_support(episode, number) for number in range(episode.way)),
        query_of(episode),
        *(_without_padding(episode, one) for one in maps.values()),
        judged(episode, prediction),
        query_with(episode, episode.query_mask),
    ]
    first = [f"support: {name}" for name in episode.class_names]
    titles = [*first, "query", *maps, "prediction", "ground truth"]
    return show_images(cells, titles, title=title)


def judged(episode: Episode, prediction: Tensor) -> Drawing:
    """A prediction over its query: hit, missed and false alarm for one class, else by class."""
    if episode.way > 1:
        return query_with(episode, prediction)
    recognise(episode)
    image, truth, prediction = unpadded(episode.query_image, episode.query_mask, prediction)
    return overlay(image, prediction, truth)


def show_bars(values: dict[str, float], label: str, intervals: dict | None = None) -> Figure:
    """Horizontal bars and their values, in the order given; intervals (low, high) are whiskers."""
    figure, axis = plt.subplots(figsize=(6.5, 0.6 + 0.32 * len(values)))
    names, heights = list(values), np.array(list(values.values()))
    whiskers = None
    if intervals:
        bounds = np.array([intervals[name] for name in names])
        whiskers = np.abs(bounds.T - heights)
    bars = axis.barh(names, heights, color=palette(2)[-1] / 255, xerr=whiskers, height=0.65)
    axis.bar_label(bars, [minus(f"{height:.1f}") for height in heights], padding=3, fontsize=9)
    axis.margins(x=0.1)  # for the longest bar's value
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(pad=0.3)
    plt.close(figure)
    return figure


def _without_padding(episode: Episode, shown: Picture) -> Picture:
    """The part of a map (h',w') that lies over the query's own pixels."""
    own, whole = query_of(episode).shape[-2:], episode.query_mask.shape[-2:]
    height, width = (
        -(-cells * part // full) for cells, part, full in zip(shown.shape, own, whole, strict=True)
    )
    return shown[:height, :width]


def _several(episode: Episode) -> int:
    """How many classes are named in the picture: none where there is only one."""
    return episode.way if episode.way > 1 else 0


__all__ = [
    "Drawing",
    "Map",
    "Panel",
    "annotated_support",
    "judged",
    "overlay",
    "palette",
    "panel",
    "query_of",
    "query_with",
    "recognise",
    "show_bars",
    "show_episode",
    "show_images",
    "show_prediction",
]
