"""The one way in which a mask is shown: the picture dark outside of it, its outline in two tones.

A light line around the object and a black one around that: whatever the colours on either side,
one of the two is seen, by people who cannot tell red from green as well. Against a ground truth,
what was hit, missed and taken for the object by mistake have a colour each, named in a legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import binary_dilation

from fsslib.data.episode import IGNORE
from fsslib.viz.names import write_names
from fsslib.viz.sharp import Labels, Picture, Pixels, enlarged, enlarged_labels, to_array

# Okabe and Ito's palette, reordered so that the first colours differ most on natural pictures.
COLOURS = np.array(
    [
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (204, 121, 167),
        (240, 228, 66),
        (86, 180, 233),
        (230, 159, 0),
    ],
    np.uint8,
)
HIT, MISS, FALSE = "hit", "missed", "false alarm"
OUTCOMES = {HIT: (86, 180, 233), MISS: (240, 228, 66), FALSE: (190, 30, 45)}
"""Colour of each outcome: sky blue, yellow and crimson, far apart for the colour-blind as well."""

UNSCORED = "255: not scored"
LIGHT, BLACK = (255, 255, 255), (0, 0, 0)
DARKENED = 0.42  # of the light outside of a mask is left
TINT = 0.5  # of an outcome's colour over the picture, which is grey there
CLASS_TINT = 0.25  # of a class's colour: the outline says the same


@dataclass(frozen=True)
class Drawing:
    """A picture with something drawn over it.

    Attributes:
        pixels: (h,w,3).
        legend: what its colours mean, in the order in which a legend lists it.
        iou: of the mask with the truth in 0..1, where one was given.
    """

    pixels: Pixels
    legend: tuple[str, ...] = ()
    iou: float | None = None

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return self.pixels if dtype is None else self.pixels.astype(dtype)


def palette(count: int) -> np.ndarray:
    """`count` RGB colours (count,3) uint8; they repeat after seven."""
    return COLOURS[np.arange(count) % len(COLOURS)]


def overlay(
    image: Picture,
    mask: Picture,
    truth: Picture | None = None,
    names: Sequence[str] = (),
    enlarge: bool = True,
) -> Drawing:
    """The picture with its labels 1..N shown, and pixels of 255 hatched.

    Args:
        image: (3,h,w) or (h,w,3) uint8. mask: (h,w), 0 background, 255 ignore.
        truth: (h,w) of 0, 1 and 255: colours say what of a mask of 0 and 1 is right.
        names: of the labels from 1 on, written into their segments.
        enlarge: to about 388 pixels, a scene drawn anew; False leaves the picture's size.

    Raises:
        ValueError: sizes differ.
    """
    shapes = to_array(image).shape[:2], to_array(mask).shape
    if shapes[0] != shapes[1]:
        raise ValueError(f"image {shapes[0]} and mask {shapes[1]} differ in size")
    labels = enlarged_labels(mask) if enlarge else to_array(mask).astype(np.uint8)
    pixels = enlarged(image) if enlarge else to_array(image)
    if truth is not None:
        right = enlarged_labels(truth) if enlarge else to_array(truth).astype(np.uint8)
        return _compared(pixels, labels, right, iou(to_array(mask), to_array(truth)))
    drawn = _shown(pixels, labels, several=bool(names) or _highest(labels) > 1)
    if names:
        drawn = write_names(drawn, labels, names)
    return Drawing(drawn, (UNSCORED,) if (labels == IGNORE).any() else ())


def iou(prediction: np.ndarray, mask: np.ndarray) -> float:
    """IoU of label 1 in 0..1, pixels of 255 left out; 1 where neither has any."""
    valid = mask != IGNORE
    hit = ((prediction == 1) & (mask == 1) & valid).sum()
    union = (((prediction == 1) | (mask == 1)) & valid).sum()
    return float(hit / union) if union else 1.0


def _shown(pixels: Pixels, labels: Labels, several: bool) -> Pixels:
    """Dark where nothing is labelled, labels outlined, of several in their colours; 255 hatched."""
    drawn, unscored = pixels.astype(np.float32), labels == IGNORE
    drawn[(labels == 0) | unscored] *= DARKENED
    if not several:
        outline(drawn, labels == 1)
        _hatch(drawn, unscored, labels == 1)
        return drawn.round().astype(np.uint8)
    _hatch(drawn, unscored, ~unscored & (labels > 0))
    for value in np.unique(labels[~unscored & (labels > 0)]):
        inside, colour = labels == value, palette(int(value))[-1]
        drawn[inside] = (1 - CLASS_TINT) * drawn[inside] + CLASS_TINT * colour
        line(drawn, inside, colour)
    return drawn.round().astype(np.uint8)


def _highest(labels: Labels) -> int:
    return int(labels[labels != IGNORE].max(initial=0))


def outline(drawn: np.ndarray, inside: Bool[np.ndarray, "h w"]) -> None:
    """A white line around a region and a black one around that, drawn in place.

    Both lie outside, so that thin objects stay as they are.
    """
    near = _grown(inside)
    drawn[_grown(near) & ~near] = BLACK
    drawn[near & ~inside] = LIGHT


def line(drawn: np.ndarray, inside: Bool[np.ndarray, "h w"], colour: Sequence[float]) -> None:
    """A class's colour along the inner edge of its region, and black around it, in place."""
    drawn[_grown(inside) & ~inside] = BLACK
    drawn[inside & _grown(~inside)] = colour


def _grown(inside: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The region with a rim as wide as a line: 3 pixels of 388."""
    width = max(1, round(max(inside.shape) / 130))
    return binary_dilation(inside, iterations=width)


def _hatch(
    drawn: np.ndarray, where: Bool[np.ndarray, "h w"], labelled: Bool[np.ndarray, "h w"]
) -> None:
    """Diagonal stripes in place: bright ones beside what is labelled, grey ones elsewhere."""
    rows, columns = np.nonzero(where)
    width = max(1, round(max(where.shape) / 97))
    light = (rows + columns) // width % 2 == 0
    near = _grown(_grown(_grown(labelled)))[rows, columns]
    drawn[rows, columns] = np.where(
        light, np.where(near, 255.0, 150.0), np.where(near, 90.0, 80.0)
    )[:, None]


def _compared(pixels: Pixels, labels: Labels, truth: Labels, score: float) -> Drawing:
    """A mask of 0 and 1 against its truth."""
    drawn, predicted, valid = pixels.astype(np.float32), labels == 1, truth != IGNORE
    drawn[~predicted & (truth != 1)] *= DARKENED
    right = truth == 1
    parts = {HIT: predicted & right, MISS: ~predicted & right, FALSE: predicted & ~right & valid}
    grey = drawn.mean(-1, keepdims=True)  # under a tint, so that on any object it is the legend's
    for name, part in parts.items():
        drawn[part] = (1 - TINT) * grey[part] + TINT * np.array(OUTCOMES[name])
    outline(drawn, predicted)
    return Drawing(drawn.round().astype(np.uint8), tuple(OUTCOMES), score)
