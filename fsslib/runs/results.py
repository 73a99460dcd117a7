"""Reading results back: everything shown anywhere comes from these files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fsslib.data.folds import FOLDS
from fsslib.files import read_json, runs_folder

SHOWN = {
    "run": str,
    "episodes": int,
    **dict.fromkeys(("miou", "fb_iou"), float),
    **dict.fromkeys(("miou_interval", "fb_iou_interval"), list),
}
"""What `table` shows of a result, and of what kind it is."""


def read_results(
    folder: Path | str, tell: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Every `results.json` below `folder`, sorted by path; each with its `folder` and `file`.

    Args:
        tell: is told which files are broken or no result, and these are left out; None: the first
            broken one raises.
    """
    results = []
    for path in sorted(Path(folder).rglob("results.json")):
        try:
            result = read_json(path, dict)
            if tell and (odd := [n for n, kind in SHOWN.items() if not _fits(result.get(n), kind)]):
                raise ValueError(f"no result: {', '.join(odd)} not in it, or of another kind")
            results.append(result | {"folder": path.parent, "file": path})
        except (OSError, ValueError, TypeError) as error:
            if tell is None:
                raise
            tell(str(error) if str(path) in str(error) else f"{path}: {error}")
    return results


def _fits(value: Any, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and len(value) == 2 and all(_fits(v, float) for v in value)
    return isinstance(value, int | float if kind is float else kind)


def episodes_beside(result: Path) -> Path:
    """Where the episodes of a `results.json`, or of `NAME.json`, lie: `episodes.csv.gz`, or
    `NAME.episodes.csv.gz`. Results of older versions have none."""
    name = "episodes" if result.stem == "results" else f"{result.stem}.episodes"
    return result.with_name(f"{name}.csv.gz")


def published_folder() -> Path:
    """Where the results quoted in lessons and README lie."""
    return runs_folder() / "published"


def published(method: str | None = None, fold: int | None = None) -> list[dict[str, Any]]:
    """Published results, of one method or fold if asked for."""
    return [
        result
        for result in read_results(published_folder())
        if method in (None, result["method"]) and fold in (None, result["protocol"]["fold"])
    ]


def table(
    results: Sequence[dict[str, Any]],
    labels: Sequence[str] | None = None,
    more: Sequence[Sequence[str]] = (),
) -> str:
    """A Markdown table of scores in percent with their 95 % intervals over test episodes.

    Args:
        more: further cells, of the head first and then of each result.
    """
    labels = labels or [result["run"] for result in results]
    rows = [["run", "mIoU", "95 %", "FB-IoU", "95 %", "episodes"]]
    for label, result in zip(labels, results, strict=True):
        cells = [label]
        for score in ("miou", "fb_iou"):
            low, high = result[f"{score}_interval"]
            cells += [f"{100 * result[score]:.1f}", f"{100 * low:.1f}–{100 * high:.1f}"]
        rows.append([*cells, str(result["episodes"])])
    for row, cells in zip(rows, more, strict=False):
        row += cells
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [" | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * w for w in widths))
    return "\n".join(f"| {line} |" for line in lines)


def markdown_lines(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, a line each for its head, the rule below it and its rows."""
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]


def mean_and_half(results: Sequence[dict[str, Any]], score: str = "miou") -> tuple[float, float]:
    """Mean over folds and seeds in percent, and half of its 95 % interval over test episodes, whose
    lists differ from fold to fold but not from seed to seed (where nothing is trained, seeds are
    other lists, and the interval is too wide). Each result has its `fold`."""
    folds = sorted({result["fold"] for result in results})
    halves = []
    for fold in folds:
        intervals = [r[f"{score}_interval"] for r in results if r["fold"] == fold]
        halves.append(np.mean([(high - low) / 2 for low, high in intervals]))
    mean = np.mean([_mean(results, fold, score) for fold in folds])
    return 100 * float(mean), 100 * float(np.sqrt(np.square(halves).sum())) / len(folds)


def _mean(results: Sequence[dict[str, Any]], fold: int, score: str) -> float:
    return float(np.mean([r[score] for r in results if r["fold"] == fold]))


def folds_text(folds: Iterable[int]) -> str:
    """As prose has them: "fold 0", "folds 0 and 1", "four folds" (all there are)."""
    *others, last = sorted(set(folds))
    if len(others) + 1 == FOLDS:
        return "four folds"
    return f"folds {', '.join(map(str, others))} and {last}" if others else f"fold {last}"


def fold_heads(folds: Sequence[int]) -> list[str]:
    """Of `fold_cells`: one fold alone is its own mean."""
    names = [f"fold {fold}" for fold in folds]
    return names if len(names) == 1 else [*names, "mean"]


def fold_cells(results: Sequence[dict[str, Any]], folds: Sequence[int]) -> list[str]:
    """A table's row: mIoU of each of several `folds`, and the mean with half of its interval."""
    known = {result["fold"] for result in results}
    cells = [f"{100 * _mean(results, fold, 'miou'):.1f}" if fold in known else "" for fold in folds]
    mean, half = mean_and_half(results)
    return [*(cells if len(folds) > 1 else []), f"{mean:.1f} ± {half:.1f}"]


def seeds_cell(results: Sequence[dict[str, Any]]) -> str:
    """How many seeds a row has, and the standard deviation of their means over the folds that all
    of them have."""
    seeds = sorted({result["seed"] for result in results})
    folds = [{r["fold"] for r in results if r["seed"] == seed} for seed in seeds]
    shared = [r for r in results if r["fold"] in set.intersection(*folds)]
    if len(seeds) < 2 or not shared:
        return f"{len(seeds)}"
    means = [np.mean([r["miou"] for r in shared if r["seed"] == seed]) for seed in seeds]
    return f"{len(seeds)} (spread {100 * np.std(means, ddof=1):.1f})"
