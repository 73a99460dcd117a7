"""Words in pictures: matplotlib's own font, lines as wide as the picture under them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

_UNITS = re.compile(r" (?=%)|(?<=IoU) (?=\d)")


@lru_cache(maxsize=16)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, `size` pixels high."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"DejaVuSans{'-Bold' * bold}.ttf", size)


def folded(text: str, width: int, size: int) -> list[str]:
    """The text in lines of at most `width` pixels, broken between words but not within "IoU 54 %";
    its own breaks stay."""
    letters, lines = font(size), []
    for part in text.split("\n"):
        line = ""
        for word in _UNITS.sub("\N{NO-BREAK SPACE}", part).split(" "):
            longer = f"{line} {word}" if line else word
            if line and letters.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines if text else []
