"""What this package aims at in speed and memory, and what the published measurements say of it.

    python tests/benchmarks/targets.py

Reads `papermill_runs/published/bench`, which `python -m fsslib.bench publish` and
`python tests/benchmarks/beside_official` write; only the naive cosine prior is measured here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fsslib.bench.measure import Results, Row
from fsslib.bench.memory import peak_memory
from fsslib.bench.publish import published_folder
from fsslib.bench.tables import grid
from fsslib.files import read_json
from fsslib.priors.similarity import prior_mask

TIMES = {"warm cache": 0.05, "PI-CLIP priors, uncached": 0.65, "max-cosine prior": 0.25}
"""Ratios of time to the official code that are not 0.9, by part of a row's name."""
PEAKS = {"max-cosine prior, 5-shot": 0.3}
"""Ratios of memory that are not 1."""


class Target(NamedTuple):
    """One line of the table; `bound` is the largest value, or the least where `more` is better."""

    what: str
    value: float
    bound: float
    more: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.bound if self.more else self.value <= self.bound


def main() -> int:
    """Exit status 1 while something is not reached."""
    targets = [*_forwards(), *_cached(), *_loading(), _prior(), *_beside()]
    lines = [
        [t.what, f"{t.value:.2f}", f"{'≥' if t.more else '≤'} {t.bound:g}", _word(t)]
        for t in targets
    ]
    print("\n".join(grid(["target", "measured", "wanted", ""], lines)))
    return int(not all(target.reached for target in targets))


def _word(target: Target) -> str:
    return "reached" if target.reached else "not reached"


def _results(name: str) -> Results:
    return Results.from_dict(read_json(published_folder() / f"{name}.json"))


def _forwards() -> Iterator[Target]:
    for row in _results("methods_paper").rows:
        if row.onednn_ratio is not None:
            name = f"{row.what['name']} at {row.what['size']} px, by oneDNN's rate"
            yield Target(name, row.onednn_ratio, 1.4)


def _cached() -> Iterator[Target]:
    """How many times faster a training is from the cache, by the processor's time."""
    for result in (_results("training"), _results("training_papers")):
        by: dict[tuple[str, str], dict[str, Row]] = {}
        for row in result.rows:
            rows = by.setdefault((row.what["name"], row.what["backbone"]), {})
            rows[row.what["cache"]] = row
        for (name, backbone), rows in by.items():
            gain = median(rows["none"].processor) / median(rows["later"].processor)
            yield Target(f"training {name} on {backbone} from the cache", gain, 5, more=True)


def _loading() -> Iterator[Target]:
    for row in _results("loading").rows:
        what = f"{row.what['name']}, {row.what['workers']} workers, cache {row.what['cache']}"
        yield Target(f"share of a step that waits for loading: {what}", row.share_waiting, 0.1)


def _prior() -> Target:
    """Peak of the prior mask with five shots on 60x60x2048, in parts of the naive one's."""
    query, supports = torch.randn(1, 2048, 60, 60), torch.randn(1, 5, 2048, 60, 60)
    masks = torch.zeros(1, 5, 60, 60)
    masks[..., 15:45, 15:44] = 1
    ours = peak_memory(lambda: prior_mask(query, supports, masks), "cpu")
    naive = peak_memory(lambda: naive_prior(query, supports, masks), "cpu")
    return Target("prior mask, 5-shot, 473 px: peak by the naive one's", ours / naive, 0.25)


def naive_prior(query: Tensor, supports: Tensor, masks: Tensor) -> Tensor:
    """All cosines of all shots at once, as Eqs. 1-4 of PFENet read when written down."""
    cells = F.normalize(query, dim=1).flatten(2)
    masked = F.normalize(supports * masks[:, :, None], dim=2).flatten(3)
    best = torch.einsum("bcq,bkcs->bkqs", cells, masked).amax(-1)
    low, high = best.amin(-1, keepdim=True), best.amax(-1, keepdim=True)
    return ((best - low) / (high - low + 1e-7)).mean(1)


def _beside() -> Iterator[Target]:
    path = published_folder() / "beside_official.json"
    for row in read_json(path)["rows"] if path.is_file() else ():
        work, peaks = row["work"], row["peak_mib"]
        time = next((most for part, most in TIMES.items() if part in work), 0.9)
        memory = next((most for part, most in PEAKS.items() if part in work), 1.0)
        yield Target(f"time beside the official {work}", row["ratio"], time)
        yield Target(f"memory beside it: {work}", peaks["ours"] / peaks["official"], memory)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
