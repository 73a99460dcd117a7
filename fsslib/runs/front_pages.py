"""Tables in documents that people write: README.md and the page of results.

A document has `<!-- leaderboard -->` or `<!-- shipped -->`, then the table, then `<!-- end -->`;
the table between them is made anew by `fsslib results`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fsslib.config import strict
from fsslib.files import atomic_path, repository
from fsslib.runs.leaderboard import entries, leaderboard_table
from fsslib.runs.results import markdown_lines, mean_and_half, published, published_folder
from fsslib.runs.staleness import legend, marked
from fsslib.runs.study import Page, load_study
from fsslib.runs.study_tables import study_results

SHIPPED = {
    "pfenet": "PFENet (shipped heads)",
    "prototype": "masked-average prototype",
    "prior_threshold": "prior mask > 0.7",
    "all_foreground": "all foreground",
}
"""Methods whose results lie in folders of their own, and what they are called."""

_BETWEEN = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """Those that hold such tables."""
    return [repository() / "README.md", published_folder() / "README.md"]


def with_tables(text: str) -> str:
    """A document with today's tables in their places."""
    return _BETWEEN.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}", text)


def write_documents() -> list[Path]:
    """Write the tables anew; the documents."""
    for path in documents():
        text = with_tables(path.read_text())
        with atomic_path(path) as temporary:
            temporary.write_text(text)
    return documents()


def front_table() -> str:
    """The rows that the study `frontier` puts in front, on the fold that all of them have."""
    rows = strict(Page, load_study("frontier").page).front
    results = study_results("frontier")
    return leaderboard_table(entries({row: results[row] for row in rows}, folds=[0]))


def shipped_table() -> str:
    """mIoU and FB-IoU of the shipped heads and of what trains nothing, fold by fold."""
    heads = ["in percent", *(f"fold {fold}" for fold in range(4)), "mean", "mean FB-IoU"]
    lines, rows = [], {}
    for method, name in SHIPPED.items():
        results = sorted(published(method), key=lambda result: result["protocol"]["fold"])
        results = [result | {"fold": result["protocol"]["fold"]} for result in results]
        cells = [marked(name, results), *map(_interval, results)]
        for score in ("miou", "fb_iou"):
            mean, half = mean_and_half(results, score)
            cells.append(f"{mean:.1f} ± {half:.1f}")
        lines.append(cells)
        rows[name] = results
    return "\n".join([*markdown_lines(heads, lines), *legend(rows)])


def _interval(result: dict) -> str:
    low, high = result["miou_interval"]
    return f"{100 * result['miou']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


TABLES: dict[str, Callable[[], str]] = {"leaderboard": front_table, "shipped": shipped_table}
