"""Where objects go: random places, tried again until every object can be seen.

Layouts are made on a coarse grid of fixed size, never on the picture itself: the same scene at
another resolution therefore has the same layout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fsslib.data.scenes.raster import Drawing

GRID = 64
LEAST_VISIBLE = 0.018  # of the image; a little above the promised 1.5 %, for rounding
LEAST_UNCOVERED = 0.5  # of an object's own area inside the frame
LEAST_IN_FRAME = 0.6  # of an object's own area
_TRIES, _PATIENCE = 30, 8
# fewest and most of the image that an ordinary object covers, by number of objects
_AREAS = {1: (0.10, 0.46), 2: (0.10, 0.36), 3: (0.095, 0.26), 4: (0.09, 0.2)}
_SMALL_AREA, _SMALL_CHANCE = (0.025, 0.08), 0.14
_LONGEST_SIDE = 1.02  # of the image: long thin objects stay below their target area instead


@dataclass(frozen=True)
class Placement:
    """Where one object lies; lengths and areas are fractions of the image.

    Attributes:
        scale: image widths per object unit.
        x, y: place of the object's origin.
        area: visible area.
        hidden: share of the object's area inside the frame that others cover.
        box: x0, y0, x1, y1 of the visible part.
        in_front_of: positions (in drawing order) of the objects it partly covers.
    """

    scale: float
    x: float
    y: float
    area: float
    hidden: float
    box: tuple[float, float, float, float]
    in_front_of: tuple[int, ...]


@dataclass
class _Piece:
    """A silhouette on the grid, its scale, and the place of its upper left cell."""

    mask: np.ndarray
    scale: float
    left: int = 0
    top: int = 0


class Layout:
    """Places `drawings` (back to front) with randomness from `rng`."""

    def __init__(self, drawings: list[Drawing], rng: np.random.Generator) -> None:
        self.drawings, self.rng = drawings, rng
        silhouettes = [drawing.silhouette() for drawing in drawings]
        self.silhouettes = [mask for mask, _ in silhouettes]
        self.resolutions = [resolution for _, resolution in silhouettes]
        self.scales = [self._wanted_scale(i) for i in range(len(drawings))]

    def place(self) -> list[Placement]:
        """Try random layouts, smaller ones after a while, then one on a regular grid."""
        for attempt in range(_TRIES):
            shrink = 0.95 ** max(0, attempt - _PATIENCE)
            pieces = [self._piece(i, scale * shrink) for i, scale in enumerate(self.scales)]
            self._scatter(pieces)
            owner, stack = _paint(pieces)
            if _all_visible(owner, stack, pieces):
                return self._placements(owner, stack, pieces)
        pieces = self._spread()
        return self._placements(*_paint(pieces), pieces)

    def _wanted_scale(self, i: int) -> float:
        """Scale that gives the silhouette a random target area."""
        small, place = self.rng.random(2).tolist()
        ordinary = _AREAS[min(len(self.drawings), max(_AREAS))]
        least, most = _SMALL_AREA if small < _SMALL_CHANCE else ordinary
        target = least + (most - least) * place
        pixels = self.silhouettes[i].histogram()[255]
        scale = self.resolutions[i] * (target / pixels) ** 0.5
        return min(scale, _LONGEST_SIDE * self.resolutions[i] / max(self.silhouettes[i].size))

    def _piece(self, i: int, scale: float) -> _Piece:
        mask, zoom = self.silhouettes[i], scale * GRID / self.resolutions[i]
        size = tuple(max(1, round(side * zoom)) for side in mask.size)
        return _Piece(np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127, scale)

    def _scatter(self, pieces: list[_Piece]) -> None:
        """Random places; of two candidates the one farther from what is placed already."""
        centres: list[tuple[float, float]] = []
        for piece in pieces:
            height, width = piece.mask.shape
            draws = self.rng.random(6).tolist()
            beyond = 0.28 if draws[0] < 0.3 else 0.0  # now and then over the edge of the frame
            best = None
            for u, v in (draws[1:3], draws[3:5]):
                x = -beyond * width + u * (GRID - width + 2 * beyond * width)
                y = -beyond * height + v * (GRID - height + 2 * beyond * height)
                centre = (x + width / 2, y + height / 2)
                gap = min(
                    ((centre[0] - a) ** 2 + (centre[1] - b) ** 2 for a, b in centres), default=0
                )
                if best is None or gap > best[0]:
                    best = (gap, round(x), round(y), centre)
            _, piece.left, piece.top, centre = best
            centres.append(centre)

    def _spread(self) -> list[_Piece]:
        """Every object alone in a cell of a regular grid: nothing is ever hidden."""
        side = int(np.ceil(len(self.drawings) ** 0.5))
        cells = self.rng.permutation(side * side).tolist()
        pieces = []
        for i, cell in zip(range(len(self.drawings)), cells, strict=False):
            longest = max(self.silhouettes[i].size) / self.resolutions[i]
            piece = self._piece(i, min(self.scales[i], 0.96 / (side * longest)))
            height, width = piece.mask.shape
            piece.top = int((cell // side + 0.5) * GRID / side - height / 2)
            piece.left = int((cell % side + 0.5) * GRID / side - width / 2)
            pieces.append(piece)
        return pieces

    def _placements(
        self, owner: np.ndarray, stack: list[np.ndarray], pieces: list[_Piece]
    ) -> list[Placement]:
        placements = []
        for i, piece in enumerate(pieces):
            x0, y0 = self.drawings[i].extent_origin
            visible = owner == i + 1
            shown = int(visible.sum())
            below = [j for j in range(i) if (stack[i] & stack[j]).sum() > 0.06 * stack[j].sum()]
            placements.append(
                Placement(
                    scale=piece.scale,
                    x=piece.left / GRID - piece.scale * x0,
                    y=piece.top / GRID - piece.scale * y0,
                    area=shown / GRID**2,
                    hidden=1 - shown / max(1, int(stack[i].sum())),
                    box=_box(visible),
                    in_front_of=tuple(below),
                )
            )
        return placements


def _paint(pieces: list[_Piece]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Who owns each grid cell (0 nobody, else 1 + position), and each object's own cells."""
    owner = np.zeros((GRID, GRID), np.uint8)
    stack = []
    for number, piece in enumerate(pieces, 1):
        cells = np.zeros((GRID, GRID), bool)
        height, width = piece.mask.shape
        top, left = max(piece.top, 0), max(piece.left, 0)
        bottom, right = min(piece.top + height, GRID), min(piece.left + width, GRID)
        if bottom > top and right > left:
            cells[top:bottom, left:right] = piece.mask[
                top - piece.top : bottom - piece.top, left - piece.left : right - piece.left
            ]
        owner[cells] = number
        stack.append(cells)
    return owner, stack


def _all_visible(owner: np.ndarray, stack: list[np.ndarray], pieces: list[_Piece]) -> bool:
    visible = np.bincount(owner.ravel(), minlength=len(pieces) + 1)[1:].tolist()
    for shown, cells, piece in zip(visible, stack, pieces, strict=True):
        inside = int(cells.sum())
        if shown < LEAST_VISIBLE * GRID**2 or shown < LEAST_UNCOVERED * inside:
            return False
        if inside < LEAST_IN_FRAME * int(piece.mask.sum()):
            return False
    return True


def _box(visible: np.ndarray) -> tuple[float, float, float, float]:
    columns, rows = np.flatnonzero(visible.any(0)), np.flatnonzero(visible.any(1))
    if not len(columns):
        return (0.0, 0.0, 0.0, 0.0)
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return tuple(float(edge) / GRID for edge in edges)
