"""Controls over figures: moved, they redraw; without a kernel, the first figure stands there.

A callback never runs a network; it looks up and draws. Every explorer has a plain function behind
it that makes the same figure, so that a static one can stand under it and tests need no browser.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from fsslib.data.benchmark import nearest
from fsslib.viz.display import mimebundle

SHORT = 6  # options that are shown all at once


class Helper(anywidget.AnyWidget):
    """What the page does for an explorer: keys stay in its controls, which get names; see
    `explorer.js`. `alt` is the figure's alternative text."""

    _esm = Path(__file__).with_suffix(".js")
    alt = traitlets.Unicode().tag(sync=True)


class Explorer(widgets.VBox):
    """Controls in rows, a line for messages, and the figure of `draw` for their values.

    Attributes:
        controls: by the names of `draw`'s arguments.
        figure: the figure that is shown; None while there is nothing to draw.
    """

    def __init__(self, draw: Callable[..., Any], controls: dict[str, Any]) -> None:
        self.draw, self.controls, self.figure = draw, controls, None
        self.output, self.message = widgets.Output(), widgets.HTML()
        self.helper = Helper()
        super().__init__([_arranged(controls), self.message, self.output, self.helper])
        self.add_class("fsslib-explorer")
        for control in controls.values():
            control.observe(self._redraw, "value")
        self._redraw()
        self.first = mimebundle(self.figure) if self.figure is not None else ({}, {})

    def _redraw(self, _: object = None) -> None:
        """The figure for the present values. An empty box has none; where a word is unknown the
        last figure stays, under one sentence that says why."""
        values = {name: control.value for name, control in self.controls.items()}
        if any(isinstance(v, str) and not v.strip() for v in values.values()):
            self.figure, self.output.outputs, self.message.value = None, (), "Type a word."
            return
        problem = next(filter(None, map(_unknown, self.controls.values())), "")
        try:
            figure = None if problem else self.draw(**values)
        except ValueError as error:
            figure, problem = None, str(error)
        self.message.value = html.escape(problem, quote=False)
        if figure is None:
            return
        self.figure, (data, metadata) = figure, mimebundle(figure)
        self.helper.alt = data["text/plain"]
        shown = {"output_type": "display_data", "data": _encoded(data), "metadata": metadata}
        self.output.outputs = (shown,)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live widget, and beside it the first figure for pages that have no kernel."""
        data, metadata = self.first
        return {**super()._repr_mimebundle_(**options), **data}, metadata


def explorer(draw: Callable[..., Any], **controls: Any) -> Explorer:
    """Controls over `draw(**values)`, a panel or a matplotlib figure; redrawn while they move.

    An empty box for words draws nothing. A ValueError of `draw` is shown as a sentence.
    """
    for control in controls.values():
        control.layout.flex = "0 0 auto"  # rather a second row than sliders without a track
        control.layout.max_width = "100%"  # and in a narrow window not wider than that
        if hasattr(control, "style") and hasattr(control.style, "description_width"):
            control.style.description_width = "initial"  # rather a long label than half of one
        if hasattr(control, "continuous_update"):
            control.continuous_update = True
    return Explorer(draw, controls)


def choice(
    options: Sequence[Any], value: Any = None, description: str = ""
) -> widgets.ToggleButtons | widgets.Combobox:
    """One of several: buttons for a short list, a box with suggestions for a long one of names.

    Args:
        options: values, or pairs of a label and a value.
        value: the first one where none is given.
    """
    options = list(options)
    pairs = [one if isinstance(one, tuple) else (str(one), one) for one in options]
    if len(pairs) <= SHORT:
        value = pairs[0][1] if value is None else value
        buttons = widgets.ToggleButtons(options=pairs, value=value, description=description)
        buttons.style.button_width = "auto"
        buttons.layout.width = "max-content"
        return buttons
    return word_box([str(one) for one in options], value, description)


def word_box(
    known: Sequence[str], value: str | None = None, description: str = "", others: bool = False
) -> widgets.Combobox:
    """A box for a word, which suggests the known ones.

    Args:
        others: whether words that are not known go to `draw` all the same.
    """
    box = widgets.Combobox(
        value=known[0] if value is None else value, options=tuple(known), description=description
    )
    box.others = others
    return box


def _arranged(controls: dict[str, Any]) -> widgets.HBox:
    """Pictures to click on at the left, other controls beside them in as many rows as needed."""
    wrap = widgets.Layout(flex_flow="row wrap", align_content="flex-start", flex="1 1 0%")
    pictures = [one for one in controls.values() if isinstance(one, anywidget.AnyWidget)]
    others = [one for one in controls.values() if one not in pictures]
    return widgets.HBox([*pictures, widgets.HBox(others, layout=wrap)])


def _unknown(control: Any) -> str:
    """What is wrong with a box's word; nothing of other controls."""
    if not isinstance(control, widgets.Combobox) or getattr(control, "others", False):
        return ""
    word = control.value.strip()
    known = word in control.options
    return "" if known else f"{word!r} is not in the list{nearest(word, control.options)}"


def _encoded(data: dict[str, Any]) -> dict[str, Any]:
    """Pictures as the text that a notebook's messages carry."""
    return {
        kind: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for kind, value in data.items()
    }
