"""What is published of a study, read back: results, and a table of their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fsslib.files import read_json
from fsslib.runs.differences import (
    EXPLAINED,
    difference_cells,
)
from fsslib.runs.job import Job
from fsslib.runs.results import (
    fold_cells,
    fold_heads,
    markdown_lines,
    mean_and_half,
    seeds_cell,
)
from fsslib.runs.staleness import legend, marked
from fsslib.runs.studies import SCORED, place
from fsslib.runs.study import Study, load_study


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
            results.setdefault(job.row, []).append(read_json(path) | about | {"file": path})
    return {row: results[row] for row in rows or study.rows if row in results}


def study_table(name: str, rows: Sequence[str] = (), reference: str | None = None) -> str:
    """A Markdown table in percent: mIoU of each fold, and their mean with half of its 95 % interval
    over test episodes; with several seeds means over them, and the spread of the mean. A dagger
    marks rows that read the query's labels, a double one those whose code or weights have changed
    since. Rows without a published result are left out; without any, a sentence says how to get
    them.

    Args:
        reference: show paired differences to this row; None: to those that the study names, if any.

    Raises:
        ConfigError: an unknown row.
    """
    study = load_study(name)
    references = references_of(study, reference)
    results = study_results(name, [*rows, *also_read(rows, references)])
    if not results:
        return f"Nothing of this is published yet: `python -m fsslib.runs study {name}`"
    return score_table(results, references, rows)


def references_of(study: Study, reference: str | None) -> dict[str, str]:
    """Row -> the row that it is compared with: one for all, or those that the study names."""
    if reference is None:
        return study.references()
    study.require(reference)
    return dict.fromkeys(study.rows, reference)


def also_read(rows: Sequence[str], references: Mapping[str, str]) -> list[str]:
    """References of some rows that are not among them."""
    return sorted({references[row] for row in rows if row in references} - set(rows))


def sweep_table(study: Study, rows: Sequence[str] = (), reference: str | None = None) -> str:
    """The same of a study that is not published, from the runs' own folders."""
    references = references_of(study, reference)
    selected = [*rows, *also_read(rows, references)]
    results = row_results(study, lambda job: job.folder / "results.json", selected)
    if not results:
        return "No run of this has left results yet."
    return score_table(results, references, rows)


def score_table(
    results: dict[str, list[dict[str, Any]]],
    references: Mapping[str, str] | None = None,
    rows: Sequence[str] = (),
) -> str:
    """The table of some rows' results.

    Args:
        references: row -> the row that it is compared with; two more columns show by how much.
        rows: those that are shown; none: all.
    """
    shown = {row: results[row] for row in rows or results if row in results}
    paired = difference_cells(results, references) if references else {}
    if not any(paired[row][0] for row in shown if row in paired):
        paired = {}
    folds = sorted({result["fold"] for of_row in shown.values() for result in of_row})
    several = any(result["seed"] for of_row in shown.values() for result in of_row)
    heads = ["row", *fold_heads(folds), "FB-IoU", *(["seeds"] if several else [])]
    heads += ["difference to", "mIoU", "p"] if paired else []
    body = []
    privileged = {row for row, runs in shown.items() if runs[0]["privileged_query_labels"]}
    for row, of_row in shown.items():
        name = marked(f"{row} †" if row in privileged else row, of_row)
        cells = [name, *fold_cells(of_row, folds), f"{mean_and_half(of_row, 'fb_iou')[0]:.1f}"]
        cells += [seeds_cell(of_row)] if several else []
        if paired:
            compared = paired[row][0] and references.get(row, "")
            cells += [compared, *paired[row]]
        body.append(cells)
    lines = markdown_lines(heads, body)
    if privileged:
        lines += [
            "",
            "† is told by the ground truth which classes the query shows: no fair result.",
        ]
    return "\n".join([*lines, *legend(shown), *(["", EXPLAINED] if paired else [])])
