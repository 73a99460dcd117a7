"""A training and an evaluation by one, two and three processes, compared.

    python tests/benchmarks/bench_processes.py [--method pfenet] [--device cuda] [--processes 1 2 4]

Trains with BatchNorm that learns, dropout and batches of as many episodes whatever the number of
processes, and scores the shipped head; processes are started as `-p processes=N` starts them.
`difference` is the largest of any weight from the first row's, `right` are foreground pixels that
were found. Everything lies in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.training.journal import read_journal


class Row(NamedTuple):
    """What a training and its evaluation left."""

    loss: float
    weights: dict[str, Tensor]
    episodes: int
    pixels: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="pfenet preset=official dim=64 loss=cross_entropy_dice")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--size", type=int, default=49, help="of pictures, in pixels")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = {n: row(options, n, Path(folder) / str(n)) for n in options.processes}
    first = rows[options.processes[0]]
    print(
        f"\n{options.method}: {options.steps} steps of {options.batch}, {options.device}, ", end=""
    )
    print(f"{len(os.sched_getaffinity(0))} cores")
    print("processes   final loss   difference   episodes   right pixels   seconds")
    for count, each in rows.items():
        pairs = zip(each.weights.values(), first.weights.values(), strict=True)
        most = max((a - b).abs().max().item() for a, b in pairs)
        print(f"{count:>9}{each.loss:>13.6f}{most:>13.1e}{each.episodes:>11}", end="")
        print(f"{each.pixels:>15,}{each.seconds:>10.1f}")


def row(options: argparse.Namespace, count: int, folder: Path) -> Row:
    """Train and evaluate by so many processes."""
    machine = {"device": options.device, "processes": count, "workers": 0}
    own = {"steps": options.steps, "train_batch_size": options.batch, "image_size": options.size}
    recipe = {"recipe": "demo lr=0.01 optimizer=sgd log_every=1"}
    config = parse("train", {"method": options.method} | recipe | own | machine)
    head = {"method": "pfenet", "head": "shipped", "episodes": options.episodes}
    begin = perf_counter()
    Experiment(config, folder).train()
    results = Experiment(parse("evaluate", head | machine), folder / "evaluate").evaluate()
    return Row(
        read_journal(folder / "metrics.jsonl")[-1]["loss"],
        {name: value for name, value in _head(folder).items() if value.is_floating_point()},
        results["episodes"],
        sum(each["intersection"] for each in results["per_class"].values()),
        perf_counter() - begin,
    )


def _head(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["head"]


if __name__ == "__main__":
    main()
