"""What PFENet's training augmentation draws: numbers, no pixels.

`Augmentation.draw` turns random numbers into one affine map from the network input back to the
photograph (`Warp`). It runs where photographs are loaded, because these numbers decide the result;
`fsslib.data.rendering` makes the pixels on the device of the batch.

Differs from the released code (Tian et al., TPAMI 2020, `util/transform.py`), which resamples a
photograph for the scale, again for the rotation, and (`last="resize"`) a third time:
- one bilinear resampling: pictures are a little sharper, and labels, nearest to the pixel centres
  once, keep their borders (OpenCV's nearest resize moves them by up to half a pixel);
- padding and the corners of a rotation are filled last, so that the blur, which is taken over the
  photograph's own border pixels repeated, does not mix them with the photograph;
- before `last="resize"` the blur is as wide as it was on the scaled photograph;
- bilinear samples do not antialias, there as here. A photograph that shrinks to half or less, which
  happens with one's own large ones, is therefore averaged over squares of pixels first.
Whatever rotation moves off the scaled photograph is cut off, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped
from torch import Tensor

from fsslib.data.episode import IGNORE

MOST_POINTS = 20_000
"""Pixels of the object that crops are tried on."""

Label = Shaped[Tensor, "h w"]
Matrix = Float64[np.ndarray, "3 3"]


class Warp(NamedTuple):
    """How one photograph becomes a square input: plain numbers, hashable, equal on every device."""

    source: tuple[float, ...]
    """(a, b, c, d, e, f): output pixel (column x, row y) shows the photograph's column ax + by + c
    and row dx + ey + f, in numbers of pixels, after the shrinking."""
    canvas: tuple[float, float, float, float]
    """Left, top, right, bottom edge of the scaled photograph in the output; outside is padding."""
    blur: tuple[float, float]
    """Pixels of the output, across and down, to one of the scaled photograph; 0 for no blur."""
    shrink: int = 1
    """The photograph is first averaged over squares of so many pixels (1: left alone)."""


@dataclass(frozen=True)
class Augmentation:
    """Training augmentation of PFENet's line, drawn independently for the query and each support.

    Scale, rotation, 5x5 Gaussian blur, horizontal flip, then a random crop that is tried up to
    31 times until 85 % of the foreground survives (`last="crop"`), or a plain resize
    (`last="resize"`: HDMNet, PI-CLIP). Numbers of the PASCAL recipe; COCO scales 0.8 to 1.25.

    The papers crop at about the photographs' own size. A photograph more than 1.5 times larger
    than the crop, which they never meet, is first brought to 1.1 times: a small window of it
    would often show nothing of the object.

    What a crop keeps is counted on the label's own pixels, brought to the output as points (at
    most 20,000 of them): the released code counts in the resampled label, which is the same but
    for rounding. Where no try keeps enough, the last one stands, as there.
    """

    scale: tuple[float, float] = (0.9, 1.1)
    degrees: float = 10.0
    rotate_probability: float = 0.5
    blur_probability: float = 0.5
    flip_probability: float = 0.5
    last: Literal["crop", "resize"] = "crop"
    kept_foreground: float = 0.85
    crop_tries: int = 31

    def draw(self, label: Label, size: int, rng: np.random.Generator) -> Warp:
        """A warp to `size` x `size` for the photograph of `label` (h,w); classes are 1 to 254."""
        factor = rng.uniform(*self.scale)
        longer = max(label.shape)
        if longer > 1.5 * size:
            factor *= 1.1 * size / longer
        height, width = (max(8, round(side * factor)) for side in label.shape)
        rotate = rng.random() < self.rotate_probability
        degrees = rng.uniform(-self.degrees, self.degrees) if rotate else 0.0
        blurred = rng.random() < self.blur_probability
        flipped = rng.random() < self.flip_probability
        turned = _scaling(width / label.shape[1], height / label.shape[0])
        turned = _rotation(degrees, width / 2, height / 2) @ turned
        place = _mirror(width) if flipped else np.eye(3)
        if self.last == "resize":
            place = _scaling(size / width, size / height) @ place
        else:
            points = _foreground(label, turned, (width, height))
            place = self._crop(_positions(place, points), (width, height), size, rng) @ place
        return _warp(place, turned, (width, height), label.shape, blurred)

    def _crop(
        self,
        points: Float64[np.ndarray, "points 2"],
        canvas: tuple[int, int],
        size: int,
        rng: np.random.Generator,
    ) -> Matrix:
        """Padding to `size` at least, content centred, and a crop that keeps enough `points`."""
        margins = [max(0, size - side) // 2 for side in canvas]
        ranges = [max(0, side - size) + 1 for side in canvas]
        for _ in range(self.crop_tries):
            top, left = (int(rng.integers(count)) for count in reversed(ranges))
            move = np.array([margins[0] - left, margins[1] - top])
            inside = ((points + move >= 0) & (points + move < size)).all(1)
            if inside.sum() >= self.kept_foreground * len(points):
                break
        return _shift(*move)


def _foreground(
    label: Label, turned: Matrix, canvas: tuple[int, int]
) -> Float64[np.ndarray, "points 2"]:
    """Where the object's pixels (x, y) lie on the canvas; those that left it do not count."""
    values = label.numpy()
    rows, columns = np.nonzero((values > 0) & (values != IGNORE))
    pixels = np.stack([columns, rows], 1)[:: len(rows) // MOST_POINTS + 1]
    points = _positions(turned, pixels + 0.5)
    return points[((points >= 0) & (points < canvas)).all(1)]


def _positions(matrix: Matrix, points: Float64[np.ndarray, "points 2"]) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _warp(
    place: Matrix,
    turned: Matrix,
    canvas: tuple[int, int],
    shape: tuple[int, int],
    blurred: bool,
) -> Warp:
    """Numbers of `place` (canvas to output) after `turned` (photograph to canvas)."""
    # Bilinear samples of a much larger photograph would skip pixels: those are averaged first.
    shrink = max(1, min(shape[0] // canvas[1], shape[1] // canvas[0]))
    reduced = _scaling(*(side // shrink / side for side in reversed(shape)))
    # Positions count from the corner of a picture, pixel numbers from the middle of its first.
    back = _shift(-0.5, -0.5) @ reduced @ np.linalg.inv(place @ turned) @ _shift(0.5, 0.5)
    corners = _positions(place, np.array([[0.0, 0.0], canvas]))
    blur = np.abs(place[[0, 1], [0, 1]]) if blurred else np.zeros(2)
    numbers = (back[:2].ravel(), (*corners.min(0), *corners.max(0)), blur)
    return Warp(*(tuple(float(value) for value in part) for part in numbers), shrink)


def _scaling(across: float, down: float) -> Matrix:
    return np.diag([across, down, 1.0])


def _shift(across: float, down: float) -> Matrix:
    return np.array([[1.0, 0.0, across], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def _mirror(width: int) -> Matrix:
    return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def _rotation(degrees: float, x: float, y: float) -> Matrix:
    """Counter-clockwise about (x, y), as seen on a screen whose y points down."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return _shift(x, y) @ turn @ _shift(-x, -y)
