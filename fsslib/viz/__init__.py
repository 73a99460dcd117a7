"""Figures and widgets; `fsslib.viz.MaskPainter` is imported when it is first asked for."""

from __future__ import annotations

from typing import Any

__all__ = ["MaskPainter"]


def __getattr__(name: str) -> Any:
    """Static figures need no `anywidget`."""
    if name == "MaskPainter":
        from fsslib.viz.painter import MaskPainter

        return MaskPainter
    raise AttributeError(f"module 'fsslib.viz' has no attribute {name!r}")
