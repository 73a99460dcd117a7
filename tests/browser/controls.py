"""Every kind of control in a notebook, and keys pressed in it."""

import ast
from pathlib import Path

import ipywidgets
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from playwright.sync_api import Locator

from browser.lab import Lab
from browser.servers import ROOT

KEYS = "ArrowDown, b, d d, Enter, Space"
"""That mean something else to JupyterLab: next cell, new cell, delete the cell, edit it, scroll."""

FOCUSABLE = ":is(button, input:not([type=file]), select, [tabindex='0'], [contenteditable=true])"
FOCUSABLE += ":visible"

KINDS = {
    "IntSlider": "IntSlider(3, 0, 9)",
    "FloatSlider": "FloatSlider(0.5, min=0, max=1)",
    "FloatLogSlider": "FloatLogSlider(1)",
    "IntRangeSlider": "IntRangeSlider(value=(2, 5), min=0, max=9)",
    "SelectionSlider": "SelectionSlider(options=['a', 'b', 'c'])",
    "ToggleButtons": "ToggleButtons(options=['prior', 'mask', 'truth'])",
    "ToggleButton": "ToggleButton(description='truth')",
    "RadioButtons": "RadioButtons(options=['PFENet', 'BAM'])",
    "Dropdown": "Dropdown(options=['PFENet', 'BAM', 'HDMNet'])",
    "Checkbox": "Checkbox(description='stretched')",
    "Combobox": "Combobox(value='bed', options=['bed', 'bird', 'boat'])",
    "Text": "Text('bird')",
    "IntText": "IntText(3)",
    "BoundedIntText": "BoundedIntText(3, 0, 9)",
    "FloatText": "FloatText(0.5)",
    "FileUpload": "FileUpload()",
}
"""Controls of ipywidgets that have a value: all that lessons use, and what they may well use."""

UNTRIED = {"VBox", "HBox", "Box", "GridBox", "Output", "HTML", "Label", "Layout", "Image", "Button"}
"""No controls, or none of an explorer: they take no keys, or have no value."""

DRAW = """
import ipywidgets
from matplotlib.figure import Figure
from skimage.data import astronaut
from fsslib.viz import MaskPainter
from fsslib.viz.widgets import explorer

def draw(value):
    figure = Figure(figsize=(2, 0.5))
    figure.text(0.1, 0.4, str(value))
    return figure
"""
PAINT = "painter = MaskPainter(astronaut())\npainter"
MARKED = "print(painter.mask.shape, painter.mask.max(), painter.mask[256, [256, 384]])"
"""Size, largest label, and the labels in the middle and 128 pixels to the right of it."""


def kinds_in(sources: list[str]) -> set[str]:
    """Names of ipywidgets' classes that code makes objects of."""
    names = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
    }
    known = {name: getattr(ipywidgets, name, None) for name in names}
    classes = {name: kind for name, kind in known.items() if isinstance(kind, type)}
    return {name for name, kind in classes.items() if issubclass(kind, ipywidgets.Widget)}


def sources() -> list[str]:
    """Code of the lessons, of their solutions and of the package."""
    books = [nbformat.read(p, as_version=4) for p in sorted((ROOT / "notebooks").rglob("*.ipynb"))]
    cells = [c.source for book in books for c in book.cells if c.cell_type == "code"]
    plain = [TransformerManager().transform_cell(cell) for cell in cells]
    return plain + [p.read_text() for p in sorted((ROOT / "fsslib").rglob("*.py"))]


def write_workbench(path: Path) -> None:
    """A notebook with an explorer for each kind of control, and a painter."""
    controls = [f"explorer(draw, value=ipywidgets.{control})" for control in KINDS.values()]
    cells = [nbformat.v4.new_code_cell(code) for code in (DRAW, *controls, PAINT, MARKED)]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


def astray(lab: Lab, controls: Locator, keys: str = KEYS) -> str | None:
    """Press every key in every control; the first where that changed the notebook, and what."""
    for control in controls.element_handles():
        control.scroll_into_view_if_needed()
        control.focus()  # as the tab key would; a click would choose something, too
        before = lab.state()
        for name in keys.split(", "):
            control.focus()
            for key in name.split():
                lab.page.keyboard.press(key)
        after = lab.state()
        if after != before:
            parts = ", ".join(part for part in before if before[part] != after[part])
            what = control.evaluate("node => `${node.tagName} ${node.className}`")
            return f"one of {keys} in {what} changed {parts}"
    return None
