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
from fsslib.viz.overlay import overlay

SIDE = 300
"""Of a picture on the page, in pixels."""
MAP_SIDE = 110


def shown(answer: Answer, truth: UInt8[np.ndarray, "h w"] | None, threshold: float) -> str:
    """The query with the mask at a threshold; name, IoU, score and time."""
    scale = min(1.0, SIDE / max(answer.probability.shape))
    size = [max(1, round(scale * side)) for side in answer.probability.shape[::-1]]
    picture = Image.fromarray(answer.segmentation.picture).resize(size, Image.Resampling.BILINEAR)
    mask = Image.fromarray(answer.mask(threshold)).resize(size, Image.Resampling.NEAREST)
    score = answer.iou(truth, threshold)
    known = "" if score is None else f" · IoU {100 * score:.0f} %"
    share = 100 * float(answer.mask(threshold).mean())
    alt = f"{answer.entry.name}: {share:.0f} % of the query marked{known}"
    surest = answer.segmentation.scores[0]
    caption = (
        f"<b>{escape(answer.entry.name)}</b>{known}<br>"
        f"{answer.seconds:.2f} s · surest pixels {surest:.2f}{_believed(answer)}"
    )
    return _figure(overlay(np.asarray(picture), np.asarray(mask)), caption, alt, SIDE)


def _believed(answer: Answer) -> str:
    there = answer.segmentation.present[0]
    return {True: " · there", False: " · <b>not there</b>", None: ""}[there]


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
