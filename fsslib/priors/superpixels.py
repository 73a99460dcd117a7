"""Superpixels as patches: what QGNet's local contrast calls one thing (Liu et al., 2021).

SLIC (Achanta et al., 2012) and Felzenszwalb's graph segmentation (2004), both from scikit-image.
The paper names the two and the patches, but no number: sizes of pictures and segments, and which
segments are large enough, are choices made here. scikit-image's SLIC is not the paper's formula: it
divides colour by `compactness` and distance by the seeds' spacing, does ten rounds and moves no
seed. It gives fewer segments than it is asked for; `report` says how many.

Colour distances depend on a picture's value range, so that pictures must be uint8 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8, UInt16
from PIL import Image
from skimage.segmentation import felzenszwalb, slic

from fsslib.settings import Count, NonNegative, Pixels, Positive, Settings

Labels = UInt16[np.ndarray, "_ _"]


@dataclass(frozen=True)
class SuperpixelConfig(Settings):
    """How pictures become segments, and which segments become patches. Lengths in pixels."""

    preset_word = "superpixels"

    algorithm: Literal["slic", "felzenszwalb"] = "slic"
    long_side: Pixels = 473
    """Pictures are resized to it first; segments, areas and boxes are of the resized picture."""
    n_segments: Count = 50
    """Asked of SLIC."""
    compactness: Positive = 10.0
    """SLIC's weight of nearness against likeness of colour."""
    scale: Positive = 100.0
    """Felzenszwalb's k: larger makes larger segments."""
    sigma: NonNegative | None = None
    """Blur before; None: 0 for SLIC, 0.5 for Felzenszwalb."""
    min_size: Count = 50
    """Felzenszwalb's smallest segment."""
    min_area: Count = 1024
    """A patch's smallest area."""
    min_side: Count = 32
    """The smallest short side of a patch's box."""
    margin: NonNegative = 0.1
    """Share of a box's sides that it grows by on each side."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`slic` and `felzenszwalb`: for photographs. With `scenes_` before: for 96 pixels, where
        thresholds in proportion would leave patches of seven pixels, hence higher ones."""
        scenes = {"long_side": 96, "n_segments": 25, "min_area": 100, "min_side": 10}
        return {
            "slic": {},
            "felzenszwalb": {"algorithm": "felzenszwalb"},
            "scenes_slic": scenes,
            "scenes_felzenszwalb": {**scenes, "algorithm": "felzenszwalb"},
        }


class Segments(NamedTuple):
    """The n segments of one picture; labels 0..n-1, all of them there."""

    areas: Int64[np.ndarray, " n"]
    boxes: Float32[np.ndarray, "n 4"]
    """x0, y0, x1, y1 around every segment; the pixels at x1 and y1 are outside."""
    eligible: Bool[np.ndarray, " n"]


def fit_long_side(image: UInt8[np.ndarray, "h w 3"], long_side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The picture with its longer side resized to `long_side` (bilinear, antialiased).

    Raises:
        TypeError: anything but uint8 RGB.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise TypeError(
            f"a picture of {image.dtype} and shape {image.shape}; expected uint8 RGB (h, w, 3), "
            "because superpixels compare colours in 0..255"
        )
    height, width = image.shape[:2]
    factor = long_side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def superpixels(image: UInt8[np.ndarray, "h w 3"], config: SuperpixelConfig) -> Labels:
    """Label map of the picture, resized to `config.long_side`: 0 .. n-1 without gaps.

    Raises:
        TypeError: anything but uint8 RGB.
        ValueError: more segments than a label of two bytes can name.
    """
    image = fit_long_side(image, config.long_side)
    if config.algorithm == "slic":
        sigma = 0.0 if config.sigma is None else config.sigma
        labels = slic(image, config.n_segments, config.compactness, sigma=sigma, start_label=0)
    else:
        sigma = 0.5 if config.sigma is None else config.sigma
        labels = felzenszwalb(image, config.scale, sigma, config.min_size)
    ids, labels = np.unique(labels, return_inverse=True)
    if len(ids) > 2**16:
        raise ValueError(
            f"{len(ids)} segments in a picture of {image.shape[:2]}, at most 65,536 can be "
            "told apart: use larger ones (n_segments, or scale and min_size)"
        )
    return labels.reshape(image.shape[:2]).astype(np.uint16)


def measure(labels: Shaped[np.ndarray, "h w"], config: SuperpixelConfig) -> Segments:
    """Areas, boxes and eligibility of all segments of a label map.

    Eligible are those of at least `min_area` whose box's short side is at least `min_side`; where
    there are none, the largest segment is.
    """
    areas = np.bincount(labels.ravel())
    boxes = np.empty((len(areas), 4), np.float32)
    for axis in (0, 1):  # rows, then columns
        first, last = _extent(labels, len(areas), axis)
        boxes[:, 1 - axis], boxes[:, 3 - axis] = first, last + 1
    short = (boxes[:, 2:] - boxes[:, :2]).min(1)
    eligible = (areas >= config.min_area) & (short >= config.min_side)
    if not eligible.any():
        eligible[areas.argmax()] = True
    return Segments(areas.astype(np.int64), boxes, eligible)


def dilated(
    boxes: Float32[np.ndarray, "n 4"], margin: float, height: int, width: int
) -> Float32[np.ndarray, "n 4"]:
    """Boxes grown by `margin` of their width and height on each side, clipped to the picture."""
    grown = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * np.float32(margin)
    grown[:, :2] *= -1
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes + grown, 0, limits)


def report(segments: list[Segments]) -> dict[str, float]:
    """Segments a picture, how many are eligible, and medians of areas and short sides."""
    areas = np.concatenate([s.areas for s in segments])
    boxes = np.concatenate([s.boxes for s in segments])
    eligible = np.concatenate([s.eligible for s in segments])
    short = (boxes[:, 2:] - boxes[:, :2]).min(1)
    return {
        "pictures": len(segments),
        "segments": round(len(areas) / len(segments), 2),
        "eligible": round(float(eligible.sum()) / len(segments), 2),
        "median_area": float(np.median(areas)),
        "median_side": float(np.median(short)),
        "median_eligible_area": float(np.median(areas[eligible])),
    }


def _extent(labels: np.ndarray, count: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last place of every label along `axis`."""
    lines = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
    pairs = np.unique(lines.astype(np.int64) * len(lines) + np.arange(len(lines))[:, None])
    label, place = np.divmod(pairs, len(lines))
    starts = np.searchsorted(label, np.arange(count))
    ends = np.searchsorted(label, np.arange(count), "right") - 1
    return place[starts], place[ends]
