"""Answers as HTML: the masked query with what there is to say of it, and the method's maps."""

from __future__ import annotations

import base64
import io
from html import escape

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.own_pictures.playground.asking import Answer
from fsslib.viz.overlay import OUTCOMES, overlay

SIDE = 300
"""Of a picture on the page, in pixels."""
MAP_SIDE = 110


def shown(answer: Answer, truth: UInt8[np.ndarray, "h w"] | None, threshold: float) -> str:
    """The query with the mask at a threshold, against the truth where it is known; name, IoU, how
    sure the surest pixels are, time."""
    mask = answer.mask(threshold)
    picture = _small(answer.segmentation.picture, Image.Resampling.BILINEAR)
    small = [None if m is None else _small(m, Image.Resampling.NEAREST) for m in (mask, truth)]
    score = answer.iou(truth, threshold)
    known = "" if score is None else f" · IoU {100 * score:.0f} %"
    name, surest = escape(answer.entry.name), answer.segmentation.scores[0]
    alt = f"{name}: {100 * float(mask.mean()):.0f} % of the query marked{known}"
    details = f"{answer.seconds:.2f} s · surest pixels {surest:.2f}{_believed(answer)}"
    drawn = overlay(picture, small[0], small[1], enlarge=False)
    return _figure(drawn.pixels, f"<b>{name}</b>{known}<br>{details}", alt, SIDE)


def legend() -> str:
    """What the colours mean where the truth is known."""
    swatch = '<span style="background:rgb{};padding:0 .7em;margin-right:.3em"></span>{}'
    return " &nbsp; ".join(swatch.format(colour, name) for name, colour in OUTCOMES.items())


def _small(pixels: np.ndarray, how: Image.Resampling) -> np.ndarray:
    """Not larger than the page shows it."""
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _believed(answer: Answer) -> str:
    present = answer.segmentation.present[0]
    return {True: " · there", False: " · <b>not there</b>", None: ""}[present]


def shown_maps(answer: Answer) -> str:
    """The method's maps by name, dark to light over the range that is written under each."""
    figures = []
    for name, values in answer.segmentation.maps.items():
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        level = (values - low) / (high - low) if high > low else np.zeros_like(values)
        colours = matplotlib.colormaps["viridis"](level, bytes=True)[..., :3]
        caption = f"{escape(name)}<br>{low:.2f} … {high:.2f}"
        figures.append(_figure(colours, caption, f"map {name} of {answer.entry.name}", MAP_SIDE))
    rows = "".join(figures)
    return f'<div style="display:flex;flex-wrap:wrap;gap:6px;max-width:{SIDE + 40}px">{rows}</div>'


def _figure(pixels: UInt8[np.ndarray, "h w 3"], caption: str, alt: str, side: int) -> str:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=90)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    wide = f"width:{side}px" if pixels.shape[1] >= pixels.shape[0] else f"height:{side}px"
    style = f"{wide};image-rendering:{'pixelated' if max(pixels.shape) < side / 2 else 'auto'}"
    return (
        f'<figure style="margin:0;line-height:1.35"><img alt="{escape(alt)}" style="{style}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )
