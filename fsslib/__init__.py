"""fsslib: few-shot segmentation, taught and reproduced.

    import fsslib

    fsslib.segment("query.jpg", "cup.jpg", "cup_mask.png")

The map of the package is `fsslib/README.md`; the lessons are in `notebooks/`.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["segment"]


def __getattr__(name: str) -> Any:
    """`segment` when it is first asked for: importing fsslib alone imports no torch."""
    if name == "segment":
        from fsslib.own_pictures.segmenting import segment

        return segment
    raise AttributeError(f"module 'fsslib' has no attribute {name!r}")
