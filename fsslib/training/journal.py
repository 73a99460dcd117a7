"""`metrics.jsonl`: one JSON object a line, appended while a run trains."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fsslib.files import atomic_path

CURVE_POINTS = 40


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number."""


class JournalError(RuntimeError):
    """A file that is no journal."""


class Journal:
    """Appends metrics to a file. A resumed run first forgets what came after its checkpoint."""

    def __init__(self, path: Path, after_step: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_journal(path) if row["step"] <= after_step]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(self, step: int, **values: Any) -> None:
        """Append one line; numbers are rounded to six digits."""
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **rounded}) + "\n")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All lines of a journal; a last line cut off by a kill is left out.

    Raises:
        JournalError: another line is none of a journal's.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    rows = [_row(line) for line in lines]
    if None in rows[:-1]:
        raise JournalError(
            f"{path}: line {rows.index(None) + 1} is no line of a training's journal; move the "
            "file away to go on without it"
        )
    return [row for row in rows if row is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    """A line's values; None where it is something else than JSON with a step."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # ValueError: not UTF-8, too
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def loss_curve(path: Path) -> dict[int, float]:
    """Step -> mean loss of a journal's lines since the one before, for `CURVE_POINTS` steps at
    most; the last one is kept."""
    rows = read_journal(path)
    every = max(1, math.ceil(len(rows) / CURVE_POINTS))
    groups = [rows[max(0, end - every) : end] for end in range(len(rows), 0, -every)][::-1]
    return {g[-1]["step"]: round(sum(row["loss"] for row in g) / len(g), 4) for g in groups}


def diverged(step: int, lr: float, losses: dict[str, float]) -> TrainingDiverged:
    """The error for a run whose loss was no finite number at `step`, with advice."""
    broken = {name: value for name, value in losses.items() if not math.isfinite(value)}
    shown = f"loss {broken}" if broken else "a loss"
    return TrainingDiverged(
        f"step {step}: {shown} is not finite at learning rate {lr:g}. Lower lr, "
        "set max_grad_norm=1, or use precision='fp32'; the last checkpoint is from before"
    )
