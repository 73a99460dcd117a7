"""`papermill_runs/published/results.csv`: all published results, a line each, from their files.

`changed` is what had changed since the run when the list was written (`provenance`), "unknown" for
results of older versions; `study` and `table` ask anew.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsslib.files import atomic_path, read_json
from fsslib.runs.provenance import changed_since
from fsslib.runs.results import episodes_beside, published_folder

COLUMNS = (
    *("file", "run", "trained", "names", "oracle", "benchmark", "fold", "way", "shot", "seed"),
    *("episodes", "list", "miou", "miou_low", "miou_high", "fb_iou", "fb_iou_low", "fb_iou_high"),
    *("seconds", "git", "source", "episode_table", "changed"),
)


def write_list() -> Path:
    """The list, written anew; where it lies."""
    path = published_folder() / "results.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines(published_folder()))
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())
    return path


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """A line for each file below the folder that is a few-shot result, sorted by path."""
    for path in sorted(folder.rglob("*.json")):
        result = read_json(path)
        if isinstance(result, dict) and {"miou", "protocol", "run"} <= result.keys():
            yield {"file": path.relative_to(folder).as_posix(), **_line(result, path)}


def _line(result: dict[str, Any], path: Path) -> dict[str, Any]:
    protocol, changed = result["protocol"], changed_since(result)
    bounds = {
        f"{score}{end}": round(100 * value, 2)
        for score in ("miou", "fb_iou")
        for end, value in zip(("_low", "_high"), result[f"{score}_interval"], strict=True)
    }
    seed = result.get("training", protocol).get("seed", 0)
    return {
        "run": result["run"],
        "trained": int(result.get("trained", False)),
        "names": int(result.get("class_names_read", False)),
        "oracle": int(result.get("privileged_query_labels", False)),
        **{name: protocol[name] for name in ("benchmark", "fold", "way", "shot")},
        "seed": seed,
        "episodes": result["episodes"],
        "list": result["episode_list"],
        **{score: round(100 * result[score], 2) for score in ("miou", "fb_iou")},
        **bounds,
        "seconds": result.get("seconds", ""),
        "git": result.get("git") or "",
        "source": result.get("provenance", {}).get("source", ""),
        "episode_table": int(episodes_beside(path).is_file()),
        "changed": "unknown" if changed is None else " ".join(changed),
    }
