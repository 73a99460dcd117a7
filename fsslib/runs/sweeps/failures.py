"""What a run failed of, in one block: the sentence, and the end of its failing cell's traceback."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from fsslib.files import shown_path
from fsslib.runs.sweeps.launch import Outcome

LINES = 25
"""Of a traceback, its last ones."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def block(outcome: Outcome, folder: Path) -> str:
    """The text about a run that did not finish."""
    if outcome.state != "failed":
        go_on = "" if outcome.state == "not started" else "; the same command goes on"
        return f"{outcome.name}: {outcome.state}, {outcome.text}{go_on}"
    lines = (failing_cell(folder / "run.ipynb") or outcome.text).splitlines()[-LINES:]
    head = f"── {outcome.name} failed in {shown_path(folder)} "
    return "\n".join([head.ljust(100, "─"), *lines, "─" * 100])


def failing_cell(notebook: Path) -> str:
    """The traceback of an executed notebook's failing cell; "" where none has failed."""
    try:
        book = nbformat.read(notebook, 4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return ""
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return COLOUR.sub("", "\n".join(output.traceback))
    return ""
