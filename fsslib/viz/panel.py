"""Rows of pictures and maps, laid out: titles, colour bars, a legend; long rows wrap.

The only layout code of the lessons, the run templates and the results: who shows pictures says what
they are and what they are called. Composed pixel by pixel at twice the resolution of a page, which
is sharper than a plotting library's axes and ten times as fast.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fsslib.viz.cells import Cell, as_map, cell_image, viridis
from fsslib.viz.lettering import folded, font
from fsslib.viz.overlay import OUTCOMES, UNSCORED

MOST_COLUMNS = 5
"""More pictures than this go into further rows: five are still readable in a narrow window."""

SIDE, SHEET_SIDE = 340, 260
"""Pixels of a picture's longer side, twice what it takes on a page; and on sheets of many."""

FEW = 8  # pictures; more make a sheet
SCALE, QUALITY = 2, 60  # our pixels a pixel of the page; at twice the resolution 60 looks like 85
GAP, MARGIN, INK = 16, 8, (0, 0, 0)
HEADING, TITLE, SMALL = 27, 23, 20  # pixels high
BAR, SWATCH = 14, 24


@dataclass(frozen=True)
class Panel:
    """A figure of pictures, shown by notebooks at half its pixels.

    Attributes:
        image: RGB.
        alt: what it shows, for those who do not see it.
        titles: of its cells, in order.
    """

    image: Image.Image
    alt: str
    titles: tuple[str, ...]

    @cached_property
    def jpeg(self) -> bytes:
        content = io.BytesIO()
        self.image.save(content, "JPEG", quality=QUALITY, optimize=True, progressive=True)
        return content.getvalue()

    def save(self, path: Path | str) -> None:
        """Write it; the ending says how (`.png`, `.jpg`)."""
        self.image.save(path)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = {"alt": self.alt, "width": self.image.width // SCALE}
        return {"image/jpeg": self.jpeg, "text/plain": self.alt}, {"image/jpeg": facts}


def panel(
    rows: Sequence[Sequence[Cell]],
    titles: Sequence[str] = (),
    columns: int = MOST_COLUMNS,
    row_names: Sequence[str] = (),
    title: str = "",
    side: int | None = None,
) -> Panel:
    """Rows of pictures (uint8), drawings of `overlay`, maps, and features (colours in 0..1).

    A map is drawn from 0 to 1 unless it is a `Map`, with its colour bar below. Rows that are longer
    than `columns` wrap together, so that what stands in one column stays in one column.

    Args:
        titles: of all cells, row by row, or of the first row alone; a drawing that was compared
            with a truth adds its IoU.
        row_names: at the left of each row.
        side: pixels of a cell; 340, or 260 where there are more than eight.
    """
    rows = [list(row) for row in rows]
    names = _titles_of(rows, titles)
    side = side or (SIDE if sum(map(len, rows)) <= FEW else SHEET_SIDE)
    spans = _wrapped(max(map(len, rows)), columns)
    lines = [
        _row(cells[start:end], heads[start:end], name, side)
        for start, end in spans
        for cells, heads, name in zip(rows, names, row_names or [""] * len(rows), strict=True)
    ]
    legend = _legend({name for row in rows for cell in row for name in getattr(cell, "legend", ())})
    width = max(line.width for line in lines)
    parts = [*([_heading(title, width)] if title else []), *lines, *([legend] if legend else [])]
    flat = tuple(name for row in names for name in row)
    return Panel(_stacked(parts), _alt(title, flat, row_names), flat)


def _titles_of(rows: list[list[Cell]], titles: Sequence[str]) -> list[list[str]]:
    """A title a cell; IoUs are added where a cell has one."""
    remaining = iter(titles)
    names = [[next(remaining, "") for _ in row] for row in rows]
    for row, cells in zip(names, rows, strict=True):
        for place, cell in enumerate(cells):
            score = getattr(cell, "iou", None)
            if score is not None and "IoU" not in row[place]:
                row[place] = f"{row[place]}: IoU {100 * score:.0f} %".removeprefix(": ")
    return names


def _wrapped(count: int, columns: int) -> list[tuple[int, int]]:
    """Start and end of each block of columns, as equal as can be."""
    blocks = -(-count // max(1, min(columns, MOST_COLUMNS)))
    width = -(-count // blocks)
    return [(start, min(start + width, count)) for start in range(0, count, width)]


def _row(cells: list[Cell], heads: list[str], name: str, side: int) -> Image.Image:
    """Pictures beside each other, titles above them, colour bars below maps."""
    images = [cell_image(cell, side) for cell in cells]
    lines = [folded(head, side, TITLE) for head in heads]
    above = max(map(len, lines), default=0) * (TITLE + 4) + 8 * any(lines)
    body = max(image.height for image in images)
    maps = [as_map(cell) for cell in cells]
    below = (BAR + SMALL + 14) * any(one is not None for one in maps)
    left = (TITLE + GAP) * bool(name)
    canvas = _blank(left + len(cells) * (side + GAP) - GAP, above + body + below)
    for place, (image, text, shown) in enumerate(zip(images, lines, maps, strict=True)):
        x = left + place * (side + GAP)
        _write(canvas, text, (x + side // 2, above - 8 - len(text) * (TITLE + 4)), TITLE)
        canvas.paste(image, (x + (side - image.width) // 2, above))
        if shown is not None:
            bar = _bar(shown.low, shown.high, shown.digits, side)
            canvas.paste(bar, (x, above + image.height + 6))
    if name:
        label = _blank(body, TITLE + GAP)
        _write(label, folded(name, body, TITLE)[:1], (body // 2, 4), TITLE)
        canvas.paste(label.rotate(90, expand=True), (0, above))
    return canvas


def _bar(low: float, high: float, digits: int, side: int) -> Image.Image:
    """From which value to which the colours of a map go."""
    length = side // 2
    canvas = _blank(side, BAR + SMALL + 4)
    ramp = viridis(np.linspace(0, 1, length)[None].repeat(BAR, 0), 0, 1)
    canvas.paste(Image.fromarray(ramp), ((side - length) // 2, 0))
    for value, x in ((low, (side - length) // 2), (high, (side + length) // 2)):
        text = f"{round(value, digits) + 0.0:g}".replace("-", "\N{MINUS SIGN}")
        _write(canvas, [text], (x, BAR + 1), SMALL)
    return canvas


def _legend(names: set[str]) -> Image.Image | None:
    """A swatch and its meaning for each colour that is shown."""
    shown = [name for name in (*OUTCOMES, UNSCORED) if name in names]
    if not shown:
        return None
    widths = [SWATCH + 10 + int(font(SMALL).getlength(name)) + 28 for name in shown]
    canvas, x = _blank(sum(widths), SWATCH + 4), 0
    draw = ImageDraw.Draw(canvas)
    for name, width in zip(shown, widths, strict=True):
        box = (x, 2, x + SWATCH, 2 + SWATCH)
        draw.rectangle(box, OUTCOMES.get(name, (255, 255, 255)), (90, 90, 90), 2)
        if name == UNSCORED:
            for shift in range(6, 2 * SWATCH - 4, 8):
                ends = (x + max(0, shift - SWATCH), 2 + min(shift, SWATCH))
                draw.line((*ends, x + ends[1] - 2, 2 + ends[0] - x), (90, 90, 90), 3)
        draw.text((x + SWATCH + 10, 4), name, INK, font(SMALL))
        x += width
    return canvas


def _heading(title: str, width: int) -> Image.Image:
    lines = folded(title, width, HEADING)
    canvas = _blank(width, len(lines) * (HEADING + 6))
    _write(canvas, lines, (width // 2, 0), HEADING)
    return canvas


def _write(canvas: Image.Image, lines: list[str], place: tuple[int, int], size: int) -> None:
    """Centred lines, the first one's top at `place`."""
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((place[0], place[1] + number * (size + 4)), line, INK, font(size), "ma")


def _stacked(parts: list[Image.Image]) -> Image.Image:
    width = max(part.width for part in parts) + 2 * MARGIN
    canvas = _blank(width, sum(part.height + GAP for part in parts) - GAP + 2 * MARGIN)
    top = MARGIN
    for part in parts:
        canvas.paste(part, (MARGIN, top))
        top += part.height + GAP
    return canvas


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "white")


def _alt(title: str, titles: tuple[str, ...], row_names: Sequence[str]) -> str:
    """Every title once, in order."""
    words = [" ".join(name.split()) for name in (*row_names, *dict.fromkeys(titles)) if name]
    return ": ".join(part for part in (title, "; ".join(words) or "pictures") if part)
