"""A brush: masks painted on a picture in the browser, read as arrays in Python."""

from fsslib.viz.painter.marking import marked, paint_on
from fsslib.viz.painter.widget import MaskPainter

__all__ = ["MaskPainter", "marked", "paint_on"]
