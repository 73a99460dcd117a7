"""A contact sheet of the benchmark: every class several times, under its name."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fsslib.data.scenes.background import plain_background
from fsslib.data.scenes.classes import CLASS_NAMES, FOLDS, article
from fsslib.data.scenes.lighting import random_light, stamp
from fsslib.data.scenes.plan import scene_generator
from fsslib.data.scenes.specimen import random_object

_COLUMNS = 2  # classes side by side
_GAP = 2  # pixels between pictures
_PAPER, _INK, _FAINT = (250, 249, 246), (35, 35, 40), (140, 138, 132)


def portrait(name: str, index: int = 0, size: int = 64, seed: int = 0) -> np.ndarray:
    """One whole specimen of class `name`, filling a picture of its own.

    Args:
        name: one of `CLASS_NAMES`.
        index: which specimen; any number of them differ.
        size: side in pixels, 16 or more.
        seed: another seed gives other specimens.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    if name not in CLASS_NAMES:
        raise ValueError(f"class name={name!r} is unknown; choose one of {CLASS_NAMES}")
    if size < 16:
        raise ValueError(f"size={size} is too small: use 16 pixels or more")
    rng = scene_generator(f"portrait of {article(name)} {name}", seed, index, "picture")
    canvas, background = plain_background(rng, size)
    light = random_light(rng)
    drawing, _ = random_object(name, rng, background.colours, any_rotation=0.0)
    mask, resolution = drawing.silhouette()
    width, height = (side / resolution for side in mask.size)
    scale = 0.88 * size / max(width, height)
    x0, y0 = drawing.extent_origin
    left, top = size / 2 - scale * (x0 + width / 2), size / 2 - scale * (y0 + height / 2)
    stamp(canvas, drawing.sprite(scale, left, top, size), light)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def contact_sheet(size: int = 64, per_class: int = 8, seed: int = 0) -> np.ndarray:
    """All 40 classes, `per_class` specimens of each, in four blocks (the folds).

    Args:
        size: side of one specimen in pixels.
        per_class: specimens of each class, 1 or more.
        seed: another seed gives other specimens.

    Returns:
        (height, width, 3) uint8 RGB. With the defaults 1824 x 1076.
    """
    if per_class < 1:
        raise ValueError(f"per_class={per_class}: show at least 1 specimen of each class")
    label = max(15, size // 4)
    strip_width = per_class * (size + _GAP) + 3 * _GAP
    strip_height = size + label + 2 * _GAP
    heading = 2 * label
    rows = -(-len(FOLDS[0]) // _COLUMNS)
    block = heading + rows * strip_height
    sheet = Image.new(
        "RGB", (_COLUMNS * strip_width + 4 * _GAP, len(FOLDS) * block + label), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(label), ImageFont.load_default(label - 3)
    for fold, names in enumerate(FOLDS):
        top = fold * block
        draw.text((4 * _GAP, top + label // 2), f"fold {fold}", _INK, large)
        for place, name in enumerate(names):
            left = 4 * _GAP + place // rows * strip_width
            y = top + heading + place % rows * strip_height
            draw.text((left, y), name, _INK, small)
            number = f"{10 * fold + place + 1}"
            draw.text((left + small.getlength(name) + 6, y), number, _FAINT, small)
            for index in range(per_class):
                picture = Image.fromarray(portrait(name, index, size, seed))
                sheet.paste(picture, (left + index * (size + _GAP), y + label))
    return np.asarray(sheet)
