"""What is published of a study, read back as tables: scores, and how well maps point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fsslib.files import read_json
from fsslib.runs.differences import (
    EXPLAINED,
    NEEDS_NEW,
    NO_SUCH_OBJECTS,
    NoEpisodes,
    NothingLeft,
    difference,
    difference_cells,
    share_supports,
    signed,
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

SHOWN_THRESHOLDS = (0.3, 0.5, 0.7)
"""Of the nine that results hold."""

SIZES = {"under 8 %": (0.0, 0.08), "8 to 16 %": (0.08, 0.16), "over 16 %": (0.16, 1.01)}
"""Fractions of a query's pixels that its object takes; about a fifth, a half and the rest of the
test lists of Scenes-10i."""

ABSENCE = {
    "auroc": "auroc",
    "believed": "present_believed",
    "refused": "absent_refused",
    "marked": "marked_when_absent",
    "empty": "miou_refusing",
}
"""Names in pages of what results say of absent objects."""


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
    results = study_results(name, [*rows, *_also(rows, references)])
    if not results:
        return f"Nothing of this is published yet: `python -m fsslib.runs study {name}`"
    return score_table(results, references, rows)


def references_of(study: Study, reference: str | None) -> dict[str, str]:
    """Row -> the row that it is compared with: one for all, or those that the study names."""
    if reference is None:
        return study.references()
    study.require(reference)
    return dict.fromkeys(study.rows, reference)


def _also(rows: Sequence[str], references: Mapping[str, str]) -> list[str]:
    """References of some rows that are not among them."""
    return sorted({references[row] for row in rows if row in references} - set(rows))


def sweep_table(study: Study, rows: Sequence[str] = (), reference: str | None = None) -> str:
    """The same of a study that is not published, from the runs' own folders."""
    references = references_of(study, reference)
    selected = [*rows, *_also(rows, references)]
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
    heads = ["row", "map", "AUROC", "dark on objects", "object - background"]
    heads += [f"> {threshold}" for threshold in thresholds]
    lines = []
    for row, results in study_results(name, rows).items():
        for map_ in results[0].get("maps", {}):
            facts = [result["maps"][map_] for result in results]
            lines.append([row, map_, *_map_cells(facts, thresholds)])
    return "\n".join(markdown_lines(heads, lines)) if lines else ""


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


def size_table(name: str, rows: Sequence[str]) -> str:
    """A Markdown table in percent: mIoU of some rows by how much of the query its object takes, and
    for rows that the study compares with another the paired difference with its 95 % interval.

    Raises:
        ConfigError: an unknown row, or lists that are not the same.
    """
    references = load_study(name).references()
    results = study_results(name, [*rows, *_also(rows, references)])
    lines = []
    for row in (row for row in rows if row in results):
        reference = references.get(row, "")
        against = reference if reference in results and reference != row else ""
        cells = [_at_size(results[row], results.get(against), sizes) for sizes in SIZES.values()]
        lines.append([row, against, *cells])
    return "\n".join(markdown_lines(["row", "difference to", *SIZES], lines))


def _at_size(
    of_row: list[dict[str, Any]], reference: list[dict[str, Any]] | None, sizes: tuple[float, float]
) -> str:
    other = reference or of_row
    try:
        known = difference(of_row, other, share_supports(of_row, other), sizes).miou
    except NoEpisodes:
        return NEEDS_NEW
    except NothingLeft:
        return NO_SUCH_OBJECTS
    score = f"{100 * known.a:.1f}"
    return f"{score} ({signed(known)})" if reference else score


def absence_table(name: str, rows: Sequence[str]) -> str:
    """A Markdown table in percent of rows whose every second query shows no object, means over
    folds and seeds; rows without such results are left out."""
    heads = ["row", "AUROC", "95 %", "calibrated on", "present, believed", "absent, refused"]
    heads += ["marked where nothing is", "mIoU of all", "refused left empty"]
    lines = []
    for row, results in study_results(name, rows).items():
        facts = [result["absence"] | {"all": result["miou"]} for result in results]
        means = {
            key: 100 * float(np.mean([fact[key] for fact in facts]))
            for key in facts[0]
            if isinstance(facts[0][key], float)
        }
        low, high = (100 * bound for bound in _auroc_interval(facts))
        cells = [row, f"{means['auroc']:.1f}", f"{low:.1f}–{high:.1f}", facts[0]["calibrated_on"]]
        shown = ("present_believed", "absent_refused", "marked_when_absent", "all", "miou_refusing")
        lines.append([*cells, *(f"{means[key]:.1f}" for key in shown)])
    return "\n".join(markdown_lines(heads, lines))


def _auroc_interval(facts: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Of the mean, whose folds are independent lists."""
    halves = [(high - low) / 2 for low, high in (fact["auroc_interval"] for fact in facts)]
    mean = float(np.mean([fact["auroc"] for fact in facts]))
    half = float(np.sqrt(np.square(halves).sum())) / len(facts)
    return max(mean - half, 0.0), min(mean + half, 1.0)
