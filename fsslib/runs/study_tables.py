"""What is published of a study, read back as tables: scores, and how well maps point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fsslib.files import read_json
from fsslib.runs.job import Job
from fsslib.runs.results import fold_cells
from fsslib.runs.studies import SCORED, place
from fsslib.runs.study import Study, load_study

SHOWN_THRESHOLDS = (0.3, 0.5, 0.7)
"""Of the nine that results hold."""


def study_results(name: str, rows: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """What is published of some rows of a study, or of all: row -> results, in the order of `rows`
    or of its file. Each result also has its `row`, `fold` and `seed`.

    Raises:
        ConfigError: an unknown row.
    """
    study = load_study(name)
    return row_results(study, partial(place, study), rows)


def row_results(
    study: Study, where: Callable[[Job], Path], rows: Sequence[str] = ()
) -> dict[str, list[dict[str, Any]]]:
    """The same of any study, whose results lie `where` one asks."""
    results: dict[str, list[dict[str, Any]]] = {}
    for job in study.jobs(rows):
        path = where(job)
        if job.template in SCORED and path.is_file():
            about = {"row": job.row, "fold": job.fold, "seed": job.seed}
            results.setdefault(job.row, []).append(read_json(path) | about)
    return {row: results[row] for row in rows or study.rows if row in results}


def study_table(name: str, rows: Sequence[str] = ()) -> str:
    """A Markdown table in percent: mIoU of each fold, and their mean with half of its 95 % interval
    over test episodes; with several seeds means over them, and the spread of the mean. A dagger
    marks rows that read the query's labels. Rows without a published result are left out; without
    any, a sentence says how to get them.

    Raises:
        ConfigError: an unknown row.
    """
    results = study_results(name, rows)
    if not results:
        return f"Nothing of this is published yet: `python -m fsslib.runs study {name}`"
    return score_table(results)


def sweep_table(study: Study, rows: Sequence[str] = ()) -> str:
    """The same of a study that is not published, from the runs' own folders."""
    results = row_results(study, lambda job: job.folder / "results.json", rows)
    return score_table(results) if results else "No run of this has left results yet."


def score_table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The table of some rows' results."""
    lines = ["| row | fold 0 | fold 1 | fold 2 | fold 3 | mean | FB-IoU | seeds |"]
    lines.append("|" + " --- |" * 8)
    privileged = {row for row, found in results.items() if found[0]["privileged_query_labels"]}
    for row, of_row in results.items():
        name = f"{row} †" if row in privileged else row
        lines.append("| " + " | ".join([name, *fold_cells(of_row)]) + " |")
    if privileged:
        lines += [
            "",
            "† is told by the ground truth which classes the query shows: no fair result.",
        ]
    return "\n".join(lines)


def map_table(
    name: str, rows: Sequence[str] = (), thresholds: Sequence[float] = SHOWN_THRESHOLDS
) -> str:
    """A Markdown table in percent, of the maps that methods have scored beside their prediction:
    AUROC, how many pictures have one below a half, mean on objects minus mean on the background,
    and recall / coverage / precision above some thresholds of 0.1, 0.2 … 0.9 (QGNet's Table VII
    and what it leaves out). Means over folds and seeds, of the AUROC the lowest and highest too,
    since a mean would hide that its side changes; "" where a study has no such maps.

    Raises:
        ConfigError: an unknown row.
    """
    lines = ["| row | map | AUROC | dark on objects | object - background | "]
    lines[0] += " | ".join(f"> {threshold}" for threshold in thresholds) + " |"
    lines.append("|" + " --- |" * (5 + len(thresholds)))
    for row, results in study_results(name, rows).items():
        for map_ in results[0].get("maps", {}):
            facts = [result["maps"][map_] for result in results]
            lines.append("| " + " | ".join([row, map_, *_map_cells(facts, thresholds)]) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _map_cells(facts: Sequence[dict[str, Any]], thresholds: Sequence[float]) -> list[str]:
    def mean(score: str, *at: int) -> float:
        values = [fact[score][at[0]] if at else fact[score] for fact in facts]
        return 100 * float(np.mean(values))

    cells = [f"{mean(score):.1f}" for score in ("auroc", "dark_on_objects", "contrast")]
    if len(facts) > 1:
        aurocs = [100 * fact["auroc"] for fact in facts]
        cells[0] += f" ({min(aurocs):.1f}–{max(aurocs):.1f})"
    for threshold in thresholds:
        at = facts[0]["thresholds"].index(threshold)
        costs = [f"{mean(score, at):.0f}" for score in ("recall", "coverage", "precision")]
        cells.append(" / ".join(costs))
    return cells
