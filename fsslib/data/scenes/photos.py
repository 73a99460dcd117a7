"""Photographs that serve as backgrounds: those that come inside the scikit-image wheel.

Nothing is downloaded. A crop must not show one of the 40 classes as a recognisable whole,
therefore: `rocket.jpg` (a rocket), `moon.png` (a moon), `chelsea.png` (a cat), `clock_motion.png`
(a clock), `horse.png` and `logo.png` (shapes that look like objects) are left out; of `coffee.png`
only the wooden table is used (the cup is a mug), of `astronaut.png` only the orange suit (behind
her stands a space shuttle on a rocket), of `motorcycle_left.png` only the part without the bench.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import skimage
from PIL import Image

_LARGEST_SIDE = 400  # of a cached photograph; scenes are small


class Photo(NamedTuple):
    """A region of a photograph that may serve as background.

    `region` is x0, y0, x1, y1 and `crop` the shortest and longest side of a crop, all as
    fractions (of the photograph; of the region). `tints` are colours that a grey one may take.
    """

    file: str
    words: str
    region: tuple[float, float, float, float] = (0, 0, 1, 1)
    crop: tuple[float, float] = (0.35, 0.9)
    tints: tuple[tuple[int, int, int], ...] = ((255, 255, 255),)


PHOTOS = (
    Photo("brick.png", "a brick wall", tints=((255, 170, 140), (240, 225, 200), (210, 215, 225))),
    Photo("grass.png", "grass", tints=((150, 220, 90), (190, 220, 110), (220, 205, 130))),
    Photo("gravel.png", "gravel", tints=((235, 235, 240), (240, 215, 185), (190, 205, 220))),
    Photo("coffee.png", "a wooden table", (0.72, 0.0, 1.0, 0.3), (0.7, 1.0)),
    Photo("coffee.png", "a wooden table", (0.0, 0.0, 0.22, 0.32), (0.7, 1.0)),
    Photo("astronaut.png", "orange fabric", (0.05, 0.52, 0.5, 0.98), (0.5, 1.0)),
    Photo("motorcycle_left.png", "a garage", (0.34, 0.0, 1.0, 1.0), (0.4, 1.0)),
    Photo("hubble_deep_field.jpg", "a sky full of galaxies", crop=(0.3, 0.8)),
    Photo("ihc.png", "stained tissue", crop=(0.3, 0.8)),
    Photo("coins.png", "old coins", crop=(0.4, 0.9), tints=((255, 255, 255), (255, 225, 170))),
    Photo("page.png", "a printed page", crop=(0.7, 1.0), tints=((255, 255, 255), (255, 240, 210))),
    Photo("text.png", "a handwritten note", crop=(0.7, 1.0), tints=((255, 250, 240),)),
    Photo("retina.jpg", "a retina scan", (0.17, 0.17, 0.83, 0.83), (0.4, 1.0)),
    Photo("color.png", "rainbow colours", (0.16, 0.16, 0.84, 0.84), (0.4, 1.0)),
)
# the textures look most like the grounds of real photographs, so they come most often
PHOTO_DRAWS = tuple(
    PHOTOS[i] for i in (0, 1, 2) * 5 + (3, 4, 3, 4, 5, 5, 6, 6, 6, 7, 8, 8, 9, 10, 11, 12, 13)
)


@cache
def load_photo(file: str) -> Image.Image:
    """A photograph of the scikit-image wheel as RGB, at most 400 pixels a side, kept in memory."""
    path = Path(skimage.__file__).parent / "data" / file
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: scikit-image {skimage.__version__} does not ship it; "
            "install the version named in constraints.txt from its wheel"
        )
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BICUBIC)
    return image
