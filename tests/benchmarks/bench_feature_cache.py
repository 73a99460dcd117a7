"""What the feature cache is worth: training episodes a second without it, and in a second epoch.

    python tests/benchmarks/bench_feature_cache.py [--method lfss] [--backbone vgg16] [--steps 40]

Trains for a few steps three times on the same episodes: without a cache, with an empty one (the
first epoch, which pays for it), and with the full one. Everything lies in a temporary folder.
Backbones other than the embedded one have random weights, which are as slow as trained ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter

import torch

from fsslib.data.loading import TrainingEpisodes
from fsslib.encoders.backbones import BACKBONES
from fsslib.methods import METHODS
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.training.loop import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="lfss", choices=METHODS.names())
    parser.add_argument("--backbone", default="scenes-resnet", choices=BACKBONES)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FSSLIB_DATA"] = folder
        rows = [("without", 0), ("first epoch", 8), ("later epochs", 8)]
        speeds = [
            (name, speed(options, gigabytes, Path(folder) / f"run{number}"))
            for number, (name, gigabytes) in enumerate(rows)
        ]
    what = f"{options.method} on {options.backbone}, {options.steps} steps"
    print(f"{what} of {options.batch} episodes, {options.device}")
    for name, value in speeds:
        print(f"{name:<14}{value:7.1f} episodes a second{value / speeds[0][1]:7.1f} x")


def speed(options: argparse.Namespace, gigabytes: int, folder: Path) -> float:
    """Episodes a second of one training."""
    config = parse(
        "train",
        {
            "method": options.method,
            "backbone": options.backbone,
            "weights": "scenes" if options.backbone == "scenes-resnet" else "random",
            "feature_cache": gigabytes,
            "device": options.device,
            "steps": options.steps,
            "train_batch_size": options.batch,
            "workers": 0,
        },
    )
    experiment = Experiment(config, folder)
    settings = config.training
    episodes = settings.steps * settings.batch_size
    method = experiment.method  # building it is not measured

    def stream(start: int) -> TrainingEpisodes:
        return TrainingEpisodes(
            experiment.benchmark, experiment.protocol, episodes, settings.seed, start=start
        )

    start = perf_counter()
    train(method, stream, settings, folder, experiment.device)
    return episodes / (perf_counter() - start)


if __name__ == "__main__":
    main()
