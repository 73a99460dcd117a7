"""Large pictures in tiles, so that small objects survive the network's input size.

Each tile is a query of its own, and they overlap: every pixel is a mean over the tiles that show
it, weighted by how far from a tile's edge it lies, where a network knows less of what is around.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32, UInt8
from tqdm.auto import tqdm

OVERLAP = 0.25
"""Of a tile's side, between neighbours."""

Answer = Callable[[UInt8[np.ndarray, "h w 3"]], Float32[np.ndarray, "n1 h w"]]


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side: evenly, neighbours sharing `OVERLAP` of a tile or more."""
    if length <= tile:
        return [0]
    count = int(np.ceil((length - tile) / (tile * (1 - OVERLAP)))) + 1
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def tiled(
    picture: UInt8[np.ndarray, "h w 3"],
    tile: int,
    answer: Answer,
    progress: bool = False,
) -> Float32[np.ndarray, "n1 h w"]:
    """Probabilities of a picture, tile by tile.

    Args:
        tile: side in pixels; a picture that is smaller along a side has one tile there.
        answer: of a tile -> its probabilities, at its size.
        progress: whether a bar shows how many tiles are done, in a notebook or on a terminal.
    """
    places = list(_places(*picture.shape[:2], tile))
    total, weight = None, np.zeros(picture.shape[:2], np.float32)
    for place in tqdm(places, "tiles", disable=not progress):
        part = answer(np.ascontiguousarray(picture[place]))
        if total is None:
            total = np.zeros((len(part), *picture.shape[:2]), np.float32)
        window = _window(*part.shape[1:])
        total[:, *place] += part * window
        weight[place] += window
    return total / weight


def _places(height: int, width: int, tile: int) -> Iterator[tuple[slice, slice]]:
    for top in starts(height, tile):
        for left in starts(width, tile):
            yield slice(top, top + tile), slice(left, left + tile)


def _window(height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """1 in the middle, falling towards the edges, nowhere 0."""

    def along(length: int) -> np.ndarray:
        place = (np.arange(length) + 0.5) / length
        return np.minimum(1, 4 * np.minimum(place, 1 - place))

    return np.outer(along(height), along(width)).astype(np.float32)
