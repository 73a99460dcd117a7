"""`WAYS.md`: which method answers one's own pictures, and by which published scores.

python -m fsslib.own_pictures.evidence
"""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from fsslib.files import PACKAGE, atomic_path
from fsslib.own_pictures.encoders import EMBEDDED
from fsslib.own_pictures.ways import WAYS, Way
from fsslib.runs.differences import difference, signed
from fsslib.runs.results import mean_and_half
from fsslib.runs.study_tables import study_results

STUDY = "frontier"
PAGE = PACKAGE / "own_pictures" / "WAYS.md"
FAMILIES = {
    EMBEDDED: "the embedded encoders (`scenes`)",
    "backbone": "a CNN (`imagenet`, `timm/resnet50`)",
    "timm_vit": "a ViT of timm (`dinov2`, `dinov3`, `timm/vit_…`)",
    "open_clip": "a CLIP of open_clip (`openai`, …)",
}
TEXT = """# Which method answers

`fsslib.segment(…, method="auto")` takes the first way whose weights and question fit. Scores: mIoU
in % with half of their 95 % interval, from the published study
[`frontier`](../../papermill_runs/published/frontier/README.md) on Scenes-10i (rows end in `_2way`
where two classes were asked for). *Best of the others*: the best row that it was chosen before, and
how much that one differs on the same episodes. A way is taken if no other is better by more than
the interval; of equals the one that ships for every fold, or was known before, stays.

Only the embedded encoders were measured. For others these stand in, `scenes-clip-vit` and
`scenes-resnet`; a ViT's way is the one that holds on both. Photographs may order them otherwise:
`fsslib study frontier_pascal5i` finds out, given weights. INSID3 is not among the ways of DINOv3:
its constants are for ViT-L, and its 500 directions are more than a ViT-S has.

| weights | asked with | way | chosen by | score | best of the others |
| --- | --- | --- | --- | --- | --- |"""


@cache
def published() -> dict[str, list[dict[str, Any]]]:
    """The study's results, read once."""
    return study_results(STUDY)


def page() -> str:
    """The Markdown; its numbers are read from the results."""
    lines = [line for reason, way in WAYS.items() for line in _lines(reason, way)]
    end = "This page is made by `python -m fsslib.own_pictures.evidence`."
    return "\n".join([TEXT, *lines, "", end, ""])


@cache
def rival(chosen: str, patterns: str) -> tuple[str, str, bool] | None:
    """The best of the other rows on the episodes that both have: its name, how much it differs,
    and whether any is better by more than its interval. None where there is no other.

    Args:
        patterns: of the rows' names, as files', separated by blanks.
    """
    results = published()
    alike = [row for row in results if _counts(row) == _counts(chosen) and row != chosen]
    others = [row for row in alike if any(fnmatch(row, one) for one in patterns.split())]
    differences = {row: difference(results[row], results[chosen]).miou for row in others}
    if not differences:
        return None
    best = max(differences, key=lambda row: differences[row].difference)
    return best, signed(differences[best]), any(one.interval[0] > 0 for one in differences.values())


def _counts(row: str) -> tuple[int, int]:
    """Classes and shots of a row's episodes."""
    protocol = published()[row][0]["protocol"]
    return protocol["way"], protocol["shot"]


def _lines(reason: str, way: Way) -> list[str]:
    needs = [name for name in ("masks", "named", "known") if getattr(way, name)]
    words = {"masks": "masks", "named": "names", "known": "names that it has read"}
    counts = {None: "", True: ", several classes", False: ", one class"}[way.several]
    reads = " and ".join(words[name] for name in needs) + counts
    results, lines = published(), []
    for chosen, patterns in way.rows.items():
        mean, half = mean_and_half(results[chosen])
        other = rival(chosen, patterns)
        competitor = f"`{other[0]}` {other[1]}" if other else "no other"
        cells = [FAMILIES[way.encoder], reads, reason, f"`{chosen}`", f"{mean:.1f} ± {half:.1f}"]
        lines.append("| " + " | ".join([*cells, competitor]) + " |")
    return lines


def write(path: Path = PAGE) -> Path:
    """The page, written anew."""
    with atomic_path(path) as temporary:
        temporary.write_text(page())
    return path


if __name__ == "__main__":
    print(f"written: {write().name}")
