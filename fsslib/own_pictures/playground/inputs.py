"""The question's side of the page: two pictures, what is marked on them, and a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets as widgets
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.data.scenes import CLASS_NAMES
from fsslib.own_pictures.pictures import as_picture
from fsslib.own_pictures.playground.case import Case
from fsslib.own_pictures.playground.examples import COUNT, example
from fsslib.viz.painter import MaskPainter

LARGEST_SIDE = 1200
"""Of pictures that are taken: larger ones are made smaller, so that the page stays quick."""
HEIGHT = 230


class Inputs(widgets.VBox):
    """Support with a brush, query with another for its truth, a word; `case` is what they say.

    Args:
        changed: called when any of it is another.
        refused: told in a sentence what is wrong with an upload.
    """

    def __init__(self, changed: Callable[[], None], refused: Callable[[str], None]) -> None:
        self.changed, self.refused, self.quiet = changed, refused, False
        self.number: int | None = 0
        start = example(0)
        about = {"height": HEIGHT}
        self.support = MaskPainter(start.support, start.mask, description="support", **about)
        self.query = MaskPainter(start.query, start.truth, description="query", **about)
        self.word = widgets.Combobox(
            value=start.word, options=CLASS_NAMES, placeholder="what it is called, if you like"
        )
        self.word.description, self.word.continuous_update = "word", False
        self.uploads = {
            role: widgets.FileUpload(
                accept="image/*",
                description=f"{role}: your picture",
                layout={"width": "max-content"},
            )
            for role in ("support", "query")
        }
        self.example = widgets.Button(
            description="another example", icon="refresh", layout={"width": "max-content"}
        )
        self._listen()
        columns = [self._column("support", self.support), self._column("query", self.query)]
        wrapped = widgets.Layout(flex_flow="row wrap", grid_gap="12px")
        top = widgets.HBox([self.example, self.word], layout=wrapped)
        super().__init__([top, widgets.HBox(columns, layout=wrapped)])

    @property
    def case(self) -> Case:
        """The question as it stands."""
        truth = self.query.mask if (self.query.mask == 1).any() else None
        return Case(
            self.support.picture,
            self.support.mask,
            self.query.picture,
            self.word.value.strip(),
            truth,
        )

    @property
    def own(self) -> bool:
        """Whether either picture was brought along."""
        return self.number is None

    def show(self, number: int) -> None:
        """The example of a number."""
        shown = example(number)
        self.number = number % COUNT
        self._set(shown.support, shown.mask, self.support)
        self._set(shown.query, shown.truth, self.query)
        self.quiet, self.word.value = True, shown.word
        self.quiet = False
        self.changed()

    def take(self, role: str, content: bytes, name: str) -> None:
        """An uploaded file as support or query: nothing is marked on it, and the word goes."""
        try:
            pixels = _read(content, name)
        except (ValueError, OSError) as error:
            self.refused(str(error))
            return
        if not self.own:
            self.quiet, self.word.value = True, ""
            self.quiet, self.number = False, None
        self._set(pixels, None, self.support if role == "support" else self.query)
        self.changed()

    def _set(self, picture: np.ndarray, mask: np.ndarray | None, painter: MaskPainter) -> None:
        self.quiet = True
        with painter.hold_sync():
            painter.picture = picture
            painter.clear()
            if mask is not None:
                painter.mask = mask
        self.quiet = False

    def _listen(self) -> None:
        def on_change(_: Any) -> None:
            if not self.quiet:
                self.changed()

        for source, trait in ((self.support, "mask"), (self.query, "mask"), (self.word, "value")):
            source.observe(on_change, trait)
        for role, upload in self.uploads.items():
            upload.observe(lambda change, role=role: self._uploaded(role, change.new), "value")
        self.example.on_click(lambda _: self.show((self.number or 0) + 1))

    def _uploaded(self, role: str, files: tuple[dict[str, Any], ...]) -> None:
        if files:
            self.take(role, bytes(files[0]["content"]), str(files[0]["name"]))

    def _column(self, role: str, painter: MaskPainter) -> widgets.VBox:
        hint = {
            "support": "mark the object",
            "query": "where it is, if you know, for IoU",
        }[role]
        title = widgets.HTML(f"<b>{role}</b>: {hint}")
        head = widgets.HBox([self.uploads[role], title], layout={"flex_flow": "row wrap"})
        return widgets.VBox([head, painter], layout={"flex": "1 1 400px", "max_width": "490px"})


def _read(content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """By way of a file, so that all that is known of broken and hostile ones holds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "picture")
        path.write_bytes(content)
        try:
            pixels = as_picture(path, name).pixels
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(str(path), name)) from error
    picture = Image.fromarray(pixels)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.array(picture)
