"""What a study measured beside its scores, as tables: maps, sizes of objects, absent objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fsslib.runs.differences import (
    NEEDS_NEW,
    NO_SUCH_OBJECTS,
    NoEpisodes,
    NothingLeft,
    difference,
    share_supports,
    signed,
)
from fsslib.runs.results import markdown_lines
from fsslib.runs.study import load_study
from fsslib.runs.study_tables import also_read, study_results

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
    results = study_results(name, [*rows, *also_read(rows, references)])
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
