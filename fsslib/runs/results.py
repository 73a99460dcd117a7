"""Reading results back: everything shown anywhere comes from these files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsslib.files import read_json, repository


def read_results(folder: Path | str) -> list[dict[str, Any]]:
    """Every `results.json` below `folder`, sorted by path; each with its `folder`."""
    paths = sorted(Path(folder).rglob("results.json"))
    return [read_json(path) | {"folder": path.parent} for path in paths]


def published_folder() -> Path:
    """Where the results quoted in lessons and README lie."""
    return repository() / "papermill_runs" / "published"


def published(method: str | None = None, fold: int | None = None) -> list[dict[str, Any]]:
    """Published results, of one method or fold if asked for."""
    return [
        result
        for result in read_results(published_folder())
        if method in (None, result["method"]) and fold in (None, result["protocol"]["fold"])
    ]


def table(results: Sequence[dict[str, Any]], labels: Sequence[str] | None = None) -> str:
    """A Markdown table of scores in percent with their 95 % intervals over test episodes."""
    labels = labels or [result["run"] for result in results]
    rows = [["run", "mIoU", "95 %", "FB-IoU", "95 %", "episodes"]]
    for label, result in zip(labels, results, strict=True):
        cells = [label]
        for score in ("miou", "fb_iou"):
            low, high = result[f"{score}_interval"]
            cells += [f"{100 * result[score]:.1f}", f"{100 * low:.1f}–{100 * high:.1f}"]
        rows.append([*cells, str(result["episodes"])])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [" | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * w for w in widths))
    return "\n".join(f"| {line} |" for line in lines)
