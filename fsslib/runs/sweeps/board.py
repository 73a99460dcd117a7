"""A sweep as one sees it: a live table on a terminal, a line a change everywhere else."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from fsslib.runs.sweeps.launch import Outcome

COLOURS = {"running": "cyan", "finished": "green", "failed": "red", "not started": "red"}
FIRST = ("running", "failed", "not started", "terminated", "busy", "waiting", "finished")
"""What is shown where a terminal has no room for all."""
TAIL = 2000


@dataclass
class Row:
    """A run as the sweep knows it."""

    name: str
    folder: Path
    needs: list[str] = field(default_factory=list)
    state: str = "waiting"
    where: str = ""
    starts: int = 0
    text: str = ""
    since: float = 0.0
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)
    """Lines that nobody has been told yet."""

    def started(self, where: str) -> None:
        """Its worker has begun it, perhaps once more: then another one was lost or stopped."""
        self.starts += 1
        again = " again, where it was left" if self.starts > 1 else ""
        self.changes.append(f"{self.name}: started{again}, on {where}")
        self.state, self.where = "running", where
        if self.starts == 1:
            self.since = time.time()

    def stopped(self, where: str) -> None:
        """Its worker no longer runs it, and its task will say why, or be given to another one."""
        if where == self.where and self.state == "running":
            self.state = "waiting"

    def ended(self, outcome: Outcome) -> None:
        self.state, self.text = outcome.state, outcome.text
        self.seconds = time.time() - self.since if self.since else 0.0
        lasted = f", {self.seconds:.0f} s" if self.starts else ""
        why = "" if outcome.state == "failed" else outcome.text
        self.changes.append(f"{self.name}: {outcome.state}{lasted}{f' ({why})' if why else ''}")

    def cells(self) -> list[str]:
        """Row, fold, seed, state, where, what it is at, seconds."""
        row, fold, seed = self.name.rsplit("_", 2)
        lasts = time.time() - self.since if self.state == "running" else self.seconds
        at = latest(self.folder) if self.state == "running" else self.text.partition("\n")[0]
        if self.state == "waiting" and self.needs:
            at = f"needs {', '.join(self.needs)}"
        times = f" (start {self.starts})" if self.starts > 1 else ""
        state = f"[{COLOURS.get(self.state, 'default')}]{self.state}[/]{times}"
        cells = [escape(text) for text in (row, fold[1:], seed[1:], self.where, at)]
        return [*cells[:3], state, *cells[3:], f"{lasts:.0f}" if lasts else ""]


def latest(folder: Path) -> str:
    """The last line of a run's journal, or of its log, in words."""
    for name in ("metrics.jsonl", "log.txt"):
        lines = _tail(folder / name)
        if lines:
            return _in_words(lines[-1])
    return ""


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _in_words(line: str) -> str:
    try:
        entry = json.loads(line)
        loss = f", loss {entry['loss']:.4g}" if "loss" in entry else ""
        return f"step {entry['step']}{loss}"
    except (ValueError, LookupError, TypeError):
        return line


class Board:
    """Shows rows as they change.

    Args:
        live: a table that is drawn anew; None: where the output is a terminal.
    """

    def __init__(self, live: bool | None = None) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.live = None
        if sys.stdout.isatty() if live is None else live:
            self.live = Live(console=self.console, refresh_per_second=2)

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def show(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        for row in rows:
            while row.changes:
                change = row.changes.pop(0)
                if not self.live:
                    self.note(change)
        if self.live:
            self.live.update(self._table(rows))

    def _table(self, rows: list[Row]) -> Table:
        counts = Counter(row.state for row in rows)
        caption = ", ".join(f"{counts[state]} {state}" for state in FIRST if counts[state])
        table = Table(caption=caption, expand=False)
        for name in ("row", "fold", "seed", "state", "where", "at", "seconds"):
            table.add_column(name, justify="right" if name == "seconds" else "left", no_wrap=True)
        room = max(3, self.console.height - 6)
        chosen = sorted(rows, key=lambda row: FIRST.index(row.state))[:room]
        for row in rows:
            if row in chosen:
                table.add_row(*row.cells())
        return table
