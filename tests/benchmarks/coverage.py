"""How often intervals hold the truth, on simulated lists whose true scores are known:
`python tests/benchmarks/coverage.py` (about two minutes on one core).

A list asks every query picture twice, and pictures are easy or hard for all methods alike. The
truth is the score of a list of 200,000 episodes. For one run's mIoU and for the paired difference
of two: share of lists whose 95 % interval holds the truth, and by how much the middle of the
interval lies beside the truth, in points; and the same of percentiles of a bootstrap over query
pictures.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulated import World

from fsslib.evaluation.resampling import (
    bounds,
    by_picture,
    left_out,
    mean_iou,
    numbered,
    standard_error,
)

LISTS = ((5, 20), (5, 60), (10, 100), (20, 160), (10, 400), (10, 1000))
"""Classes and episodes."""
RESAMPLES = 400


def sums_of(table):
    """Areas of each query picture."""
    owner = numbered(table.queries)
    return by_picture(owner, table.by_class(), int(owner.max()) + 1)


def jackknife(sums):
    """95 % interval of the difference of runs, the last minus those before; of one, its score."""
    estimate = _last(*(mean_iou(each.sum(0)) for each in sums))
    error = standard_error(_last(*(left_out(each) for each in sums)))
    return bounds(float(estimate), error, 0.95, -1.0, 1.0)


def bootstrap(sums, rng):
    """The same by percentiles of lists drawn anew."""
    count = len(sums[0])
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    scores = [mean_iou(np.tensordot(weights, each, 1)) for each in sums]
    return tuple(np.quantile(_last(*scores), (0.025, 0.975)))


def _last(first, *others):
    return others[-1] - first if others else first


def measure(classes, episodes, draws, rng):
    """Rows of (runs, by which method, share that holds the truth, bias of the middle)."""
    world = World(classes)
    truths = [mean_iou(table.by_class().sum(0)) for table in world.truth()]
    results = {key: [] for key in ((n, how) for n in (1, 2) for how in ("jackknife", "bootstrap"))}
    for _ in range(draws):
        sums = [sums_of(table) for table in world.lists(rng, episodes)]
        for count in (1, 2):
            results[count, "jackknife"].append(jackknife(sums[:count]))
            results[count, "bootstrap"].append(bootstrap(sums[:count], rng))
    for (count, how), intervals in results.items():
        low, high = np.array(intervals).T
        truth = _last(*truths[:count])
        yield count, how, np.mean((low <= truth) & (truth <= high)), np.mean(low + high) / 2 - truth


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--draws", type=int, default=500, help="lists of each kind")
    draws, rng = parser.parse_args().draws, np.random.default_rng(0)
    print("| classes | episodes | of | jackknife | bias | bootstrap | bias |")
    print("|" + " --- |" * 7)
    for classes, episodes in LISTS:
        rows = list(measure(classes, episodes, draws, rng))
        for count, name in ((1, "a score"), (2, "a difference")):
            shown = [f"{100 * s:.1f} % | {100 * b:+.2f}" for n, _, s, b in rows if n == count]
            print(f"| {classes} | {episodes} | {name} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
