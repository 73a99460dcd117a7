"""Every method on one list of episodes: score, seconds, memory, what was trained, and which is
surely better; all read from published results and bench tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from fsslib.config import ConfigError
from fsslib.evaluation import holm
from fsslib.files import PACKAGE, read_json
from fsslib.runs.differences import NoEpisodes, difference, share_supports
from fsslib.runs.results import markdown_lines, mean_and_half, published_folder

Results = Mapping[str, Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard."""

    row: str
    folds: tuple[int, ...]
    miou: float
    """Percent, mean over folds."""
    half: float
    """Of its 95 % interval."""
    seconds: float
    """An episode."""
    benched: bool
    """Whether seconds are a bench's; else those of the evaluation itself, with what lay in caches
    and what else the machine did."""
    mebibytes: float | None
    """Peak of a forward pass in the bench; None where no table has it."""
    parameters: int
    """Trained for this task: of the head, and of a base learner."""
    reads_names: bool


def entries(results: Results, folds: Sequence[int] | None = None) -> list[Entry]:
    """One for each row, the best first.

    Args:
        folds: only these; rows that lack one of them are left out. None: all that a row has.
    """
    tables = _bench_rows()
    made = []
    for row, of_row in results.items():
        own = [r for r in of_row if folds is None or r["fold"] in folds]
        if own and (folds is None or {r["fold"] for r in own} == set(folds)):
            made.append(_entry(row, own, tables))
    return sorted(made, key=lambda entry: -entry.miou)


def _entry(row: str, results: Sequence[dict[str, Any]], tables: Sequence[dict]) -> Entry:
    first, (miou, half) = results[0], mean_and_half(results)
    cost = _cost(first, tables)
    own = [result["evaluation_seconds"] / result["episodes"] for result in results]
    return Entry(
        row,
        tuple(sorted({result["fold"] for result in results})),
        miou,
        half,
        cost["seconds"] if cost else float(np.mean(own)),
        cost is not None,
        cost["mebibytes"] if cost else None,
        trained_parameters(first),
        first["class_names_read"],
    )


def _bench_rows() -> list[dict[str, Any]]:
    """Forward passes of methods in all published bench tables, small batches first."""
    rows = []
    for path in sorted((published_folder() / "bench").glob("*.json")):
        table = read_json(path, dict)
        if table.get("topic") == "methods":
            rows += [row for row in table["rows"] if row["what"]["work"] == "forward"]
    return sorted(rows, key=lambda row: row["what"]["batch"])


def bench_cost(result: dict[str, Any]) -> dict[str, float] | None:
    """What the bench has of a result's method on its networks, with its shots, in its smallest
    batch: `seconds` an episode, `mebibytes` at most, `batch`; None of one with settings of its own.
    """
    return _cost(result, _bench_rows())


def _cost(result: dict[str, Any], rows: Sequence[dict]) -> dict[str, float] | None:
    config, protocol = result["config"], result["protocol"]
    if config.get("parts"):
        return None
    conditions = {"name": config["method"], "prior": config["prior"]}
    conditions |= {"size": protocol["image_size"], "shot": protocol["shot"], "way": protocol["way"]}
    network = re.sub(r"_s\d+$", "", result["run"].rpartition("shot_")[2])  # without its seed
    # What reads cells of any encoder is measured on the bench's CLIP.
    conditions["clip" if config.get("encoder") == network else "backbone"] = network
    for row in rows:
        what = row["what"]
        if conditions.items() <= what.items():
            seconds = float(np.median(row["milliseconds"])) / 1000 / row["units"]
            return {"seconds": seconds, "mebibytes": row["peak_mib"], "batch": what["batch"]}
    return None


def trained_parameters(result: Mapping[str, Any]) -> int:
    """Numbers that were learned for few-shot segmentation, by the files that the result read: of
    its head and its base learner, without statistics of batches. 0 where nothing was: heads of
    CLIP-DINOiser learn correlations of pictures, and no method of theirs is trained."""
    if not result["trained"]:
        return 0
    names = result.get("provenance", {}).get("weights", {})
    return sum(_count(PACKAGE / name) for name in names if name.startswith("methods/weights/"))


def _count(path: Path) -> int:
    """Parameters in a file of weights, by its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(
        int(np.prod(entry["shape"]))
        for name, entry in header.items()
        if name != "__metadata__" and not name.endswith(("_mean", "_var", "_tracked"))
    )


@dataclass(frozen=True)
class Pairwise:
    """Every row against every other one."""

    rows: tuple[str, ...]
    probability: Float64[np.ndarray, "rows rows"]
    """That the row is better than the column; NaN on the diagonal, and where they have no episodes
    in common."""
    significant: np.ndarray
    """Whether the difference is distinguishable from zero, by Holm's rule over all pairs at 5 %."""


def pairwise(results: Results, rows: Sequence[str]) -> Pairwise:
    """Paired differences of all pairs of rows, on the folds that both have."""
    count = len(rows)
    probability, p_values = np.full((count, count), np.nan), {}
    for i in range(count):
        for j in range(i):
            a, b = results[rows[i]], results[rows[j]]
            try:
                paired = difference(a, b, share_supports(a, b)).miou
            except (NoEpisodes, ConfigError):
                continue
            probability[i, j], probability[j, i] = paired.probability, 1 - paired.probability
            p_values[i, j] = paired.p_value
    significant = np.zeros((count, count), bool)
    for (i, j), p in zip(p_values, holm(list(p_values.values())), strict=True):
        significant[i, j] = significant[j, i] = p < 0.05
    return Pairwise(tuple(rows), probability, significant)


def leaderboard_table(board: Sequence[Entry]) -> str:
    """A Markdown table."""
    heads = ["", "mIoU", "seconds an episode", "peak MiB", "trained", "reads names", "folds"]
    lines = []
    for entry in board:
        seconds = f"{entry.seconds:.3f}" + ("" if entry.benched else " °")
        memory = "" if entry.mebibytes is None else f"{entry.mebibytes:.1f}"
        folds = ", ".join(map(str, entry.folds))
        cells = [entry.row, f"{entry.miou:.1f} ± {entry.half:.1f}", seconds, memory]
        cells += [f"{entry.parameters:,}", "yes" if entry.reads_names else "", folds]
        lines.append(cells)
    return "\n".join(markdown_lines(heads, lines))
