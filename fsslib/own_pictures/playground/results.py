"""Answers as HTML: the masked query with what there is to say of it, and the method's maps."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from html import escape

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.own_pictures.playground.asking import Answer
from fsslib.viz.overlay import OUTCOMES, overlay

SIDE, PIXELS = 220, 330
"""Of an answer: on the page, and in the file, which good screens show sharply."""
WIDTH = 270
"""Of an answer's column, in pixels."""
MAP_SIDE = 110
SCORE = (
    "Score: mean probability of the surest 1 % of the pixels. The threshold parts queries with and "
    "without the object best; it was measured on other classes."
)


def shown(answer: Answer, truth: UInt8[np.ndarray, "h w"] | None, threshold: float) -> str:
    """The query with the mask at a threshold, against the truth where it is known; name, IoU, time,
    and whether the object is there at all."""
    mask = answer.mask(threshold)
    picture = _small(answer.segmentation.picture, Image.Resampling.BILINEAR)
    small = [None if m is None else _small(m, Image.Resampling.NEAREST) for m in (mask, truth)]
    score = answer.iou(truth, threshold)
    known = "" if score is None else f"IoU {100 * score:.0f} %"
    name = answer.entry.name
    alt = f"{name}: {100 * float(mask.mean()):.0f} % of the query marked{known and ', ' + known}"
    head = f"<b>{escape(name)}</b><br>{known and known + ' · '}{answer.seconds:.2f} s"
    drawn = overlay(picture, small[0], small[1], enlarge=False)
    body = f"<div>{head}</div>{_image(drawn.pixels, alt, SIDE)}"
    return _figure(body, _believed(answer), WIDTH)


def legend() -> str:
    """What the colours mean where the truth is known."""
    swatch = '<span style="background:rgb{};padding:0 .7em;margin-right:.3em"></span>{}'
    return " &nbsp; ".join(swatch.format(colour, name) for name, colour in OUTCOMES.items())


def _small(pixels: np.ndarray, how: Image.Resampling) -> np.ndarray:
    """Not larger than it can be seen."""
    scale = min(1.0, PIXELS / max(pixels.shape[:2]))
    size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _believed(answer: Answer) -> str:
    """Whether the object is there, by its score and the calibrated threshold."""
    present, needed = answer.segmentation.present[0], answer.segmentation.threshold
    score = f"score {_decimals(answer.segmentation.scores[0])}"
    if needed is None:
        verdict = f"{score}; no threshold calibrated"
    elif present:
        verdict = f"there: {score} reaches the calibrated threshold {_decimals(needed)}"
    else:
        verdict = f"<b>not there</b>: {score} is below the calibrated threshold {_decimals(needed)}"
    return f'<span title="{SCORE}">{verdict}</span>'


def _decimals(share: float) -> str:
    """A share of one with two decimals, or as many as part it from one: 0.42, 0.99954."""
    lacks = 1 - share
    return f"{share:.{max(2, 1 - math.floor(math.log10(lacks)))}f}" if lacks > 1e-9 else "1"


def shown_maps(answer: Answer) -> str:
    """The method's maps by name, dark to light over the range that is written under each."""
    figures = []
    for name, values in _distinct(answer.segmentation.maps).items():
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        level = (values - low) / (high - low) if high > low else np.zeros_like(values)
        colours = matplotlib.colormaps["viridis"](level, bytes=True)[..., :3]
        broken = escape(name).replace("_", "_<wbr>")
        caption = f"<small>{broken}<br>{low:.2f} … {high:.2f}</small>"
        image = _image(colours, f"map {name} of {answer.entry.name}", MAP_SIDE)
        figures.append(_figure(image, caption, MAP_SIDE))
    rows = "".join(figures)
    return f'<div style="display:flex;flex-wrap:wrap;gap:6px;width:{WIDTH}px">{rows}</div>'


def _distinct(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each map once, under all of its names: with one support its own prior is their mean."""
    names: list[list[str]] = []
    for name, values in maps.items():
        same = (group for group in names if np.array_equal(maps[group[0]], values))
        if (group := next(same, None)) is None:
            names.append([name])
        else:
            group.append(name)
    return {", ".join(group): maps[group[0]] for group in names}


def _figure(body: str, caption: str, width: int) -> str:
    style = f"margin:0;line-height:1.35;width:{width}px;overflow-wrap:break-word"
    return f'<figure style="{style}">{body}<figcaption>{caption}</figcaption></figure>'


def _image(pixels: UInt8[np.ndarray, "h w 3"], alt: str, side: int) -> str:
    """As HTML, its longer side `side` pixels on the page."""
    content, cells = io.BytesIO(), max(pixels.shape) < side / 2
    kind = "png" if cells else "jpeg"  # JPEG would mix the colours of neighbouring cells
    Image.fromarray(pixels).save(content, kind, quality=90)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    wide = f"width:{side}px" if pixels.shape[1] >= pixels.shape[0] else f"height:{side}px"
    style = f"{wide};image-rendering:{'pixelated' if cells else 'auto'}"
    source = f"data:image/{kind};base64,{data}"
    return f'<img alt="{escape(alt)}" style="{style}" src="{source}">'
