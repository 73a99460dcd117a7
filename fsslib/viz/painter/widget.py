"""`MaskPainter`: paint a mask on a picture; it arrives as an array when a stroke ends.

    painter = MaskPainter(picture)
    painter.observe(lambda change: print(change.new.sum()), "mask")

The browser draws by itself and sends a finished change once, as runs of labels; nothing waits for
the kernel. Brush, eraser, box, polygon, fill, undo, redo, clear and zoom, by mouse, pen, fingers or
keys. The line around the mask is black and white, which is seen on any picture. What is typed in it
never reaches the notebook.

For tests the elements carry `data-testid`: `mask-painter` (the whole), `mask-painter-canvas`,
`mask-painter-status`, `mask-painter-radius`, and buttons `mask-painter-tool-brush`, `-tool-eraser`,
`-tool-box`, `-tool-polygon`, `-tool-fill`, `-undo`, `-redo`, `-clear`, `-zoom-in`, `-zoom-out`,
`-zoom-fit` and, with several labels, `-label-1`, … The canvas spans the picture: as long as nobody
has zoomed, a point of the picture is at the same share of the canvas' width and height.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from fsslib.data.episode import IGNORE
from fsslib.viz.overlay import overlay
from fsslib.viz.painter.checks import as_base64, as_file, as_labels, as_pixels
from fsslib.viz.painter.runs import decode, encode

TOOLS = ("brush", "eraser", "box", "polygon", "fill")
STATIC_SIDE = 480
"""Of the picture that stands where no kernel runs."""
FOLDER = Path(__file__).parent
SCRIPTS = ("pixels", "drawing", "view", "toolbar", "keys", "pointers", "painter")


def script() -> str:
    """The JavaScript modules as the one that a widget has: without their imports of each other."""
    sources = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return re.sub(r'^import .* from "\./\w+\.js";\n', "", "\n".join(sources), flags=re.M)


class MaskPainter(anywidget.AnyWidget):
    """A picture to paint a mask on.

    Args:
        picture: (h,w,3) or (3,h,w) uint8 RGB, or (h,w) grey; a tensor, an array or a PIL picture.
        mask: (h,w) labels to begin with; None: nothing is marked.
        labels: names of labels 1, 2, …; with several, buttons choose the one that is painted.
        unknown: whether "don't know" (255) can be painted, too.
        tool: one of `TOOLS`. brush_radius: in pixels of the picture.
        height: of the picture on the page, at most, in CSS pixels.
        pressure: whether a pen's pressure makes the line thicker; a button once a pen is seen.
        description: what the picture is called for screen readers.

    In an `explorer` it is a control: `explorer(draw, mask=MaskPainter(picture))`.

    `mask` is a trait: (h,w) uint8 in {0, 1, …, len(labels), 255}, of the picture's size; read it,
    observe it, set it. It cannot be written into (copy it, and set the copy). `picture` can be set,
    too, and takes the mask away.

    Raises:
        ValueError: a picture or a mask of another shape, or labels without a name.
    """

    _esm = script()
    _css = FOLDER / "painter.css"
    _picture = traitlets.Bytes().tag(sync=True)
    _size = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)
    _runs = traitlets.Bytes().tag(
        sync=True, echo_update=False, from_json=lambda sent, _: bytes(sent)
    )
    labels = traitlets.Tuple(default_value=("object",)).tag(sync=True)
    unknown = traitlets.Bool(False).tag(sync=True)
    tool = traitlets.Enum(TOOLS, "brush").tag(sync=True)
    label = traitlets.Int(1).tag(sync=True)
    brush_radius = traitlets.Float(4.0).tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)
    pressure = traitlets.Bool(False).tag(sync=True)
    description = traitlets.Unicode("mask painter").tag(sync=True)
    picture = traitlets.Any()  # an array, once it is checked
    mask = traitlets.Any()
    value = traitlets.Any()  # the mask, by the name that `explorer` reads of every control

    def __init__(
        self,
        picture: Tensor | np.ndarray | Image.Image,
        mask: Tensor | np.ndarray | None = None,
        *,
        labels: Sequence[str] = ("object",),
        brush_radius: float | None = None,
        **options: Any,
    ) -> None:
        if not 1 <= len(labels) < IGNORE:
            raise ValueError(
                f"labels={labels!r}: give a name for each label, 1 to {IGNORE - 1} of them"
            )
        pixels = as_pixels(picture)
        size = pixels.shape[:2]
        radius = round(max(1.5, min(size) / 30), 1) if brush_radius is None else brush_radius
        start = as_labels(np.zeros(size, np.uint8) if mask is None else mask, size, len(labels))
        super().__init__(
            picture=pixels,
            mask=start,
            value=start,
            labels=tuple(labels),
            brush_radius=radius,
            _picture=as_file(pixels),
            _size=size,
            _runs=encode(start),
            **options,
        )
        # Only now: while they are set for the first time, traits come in any order.
        self.observe(self._picture_set, "picture")
        self.observe(self._mask_set, "mask")
        self.observe(self._runs_set, "_runs")
        self.observe(self._value_set, "value")

    def clear(self) -> None:
        """Take the mask away; the browser's undo brings it back."""
        self.mask = np.zeros(self._size, np.uint8)

    @traitlets.validate("picture")
    def _check_picture(self, proposal: dict[str, Any]) -> UInt8[np.ndarray, "h w 3"]:
        return as_pixels(proposal["value"])

    def _picture_set(self, change: dict[str, Any]) -> None:
        size = change["new"].shape[:2]
        with self.hold_sync():
            self._size, self._picture = size, as_file(change["new"])
            self.clear()

    @traitlets.validate("mask", "value")
    def _check_mask(self, proposal: dict[str, Any]) -> UInt8[np.ndarray, "h w"]:
        return as_labels(proposal["value"], self.picture.shape[:2], len(self.labels))

    def _mask_set(self, change: dict[str, Any]) -> None:
        self._runs = encode(change["new"])
        if not np.array_equal(self.value, change["new"]):
            self.value = change["new"]

    def _value_set(self, change: dict[str, Any]) -> None:
        if not np.array_equal(self.mask, change["new"]):
            self.mask = change["new"]

    def _runs_set(self, change: dict[str, Any]) -> None:
        """What the browser sends becomes `mask`; what `mask` has said already changes nothing. A
        stroke on the picture before, which came late, is no mask of this one: the browser is sent
        the mask as it is."""
        try:
            mask = decode(change["new"], self._size)
        except ValueError:
            self._runs = encode(self.mask)
            return
        if mask.shape != self.mask.shape or (mask != self.mask).any():
            self.mask = mask

    def static(self) -> Image.Image:
        """Picture and mask as they are now, as an image."""
        shown = Image.fromarray(overlay(self.picture, self.mask, enlarge=False).pixels)
        factor = STATIC_SIDE / max(shown.size)
        size = [max(1, round(factor * side)) for side in shown.size]
        return shown.resize(
            size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
        )

    def __repr__(self) -> str:
        height, width = self._size
        return (
            f"MaskPainter: a picture of {width} by {height} pixels, {(self.mask > 0).sum()} marked"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The widget, and for pages without a kernel a picture."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["image/png"] = as_base64(self.static())
        return bundle
