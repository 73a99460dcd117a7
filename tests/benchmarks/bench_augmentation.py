"""What augmenting a photograph costs: drawing on the CPU, rendering on the device. Run by hand:

    python tests/benchmarks/bench_augmentation.py [--device cuda] [--batch 16] [--size 473]

A photograph of 375 x 500 pixels, as PASCAL's are, becomes a crop of 473 with everything drawn:
scale, rotation, blur, flip. `three resamplings` is the released order of steps with torchvision on
the CPU, one photograph after another. Processor time on one core, shared with others:

    three resamplings         9.9 ms a photograph, all of them while loading
    drawn                     1.9 ms while loading
    rendered on cpu           7.4 ms where the batch is used
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from augmentation_steps import in_steps

from fsslib.data.augmentation import Augmentation
from fsslib.data.rendering import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="photographs")
    parser.add_argument("--size", type=int, default=473)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    augmentation, size = Augmentation(), options.size
    image = torch.from_numpy(data.astronaut()[:375, :500].copy()).permute(2, 0, 1).contiguous()
    label = torch.zeros(375, 500, dtype=torch.uint8)
    label[60:250, 120:330] = 1
    images, labels = (part[None].repeat(options.batch, *[1] * part.ndim) for part in (image, label))
    images, labels = images.to(options.device), labels.to(options.device)
    shapes, numbers = [tuple(label.shape)] * options.batch, range(options.batch)

    def draw() -> list:
        return [augmentation.draw(label, size, np.random.default_rng(seed)) for seed in numbers]

    warps = draw()
    rows = {
        "three resamplings": lambda: [
            in_steps(augmentation, image, label, size, n) for n in numbers
        ],
        "drawn": draw,
        f"rendered on {options.device}": lambda: render(images, labels, shapes, warps, size),
    }
    for name, work in rows.items():
        print(f"{name:<24}{milliseconds(work, options) / options.batch:8.2f} ms a photograph")


def milliseconds(work: Callable[[], object], options: argparse.Namespace) -> float:
    """Fastest of a few runs: of the process on a CPU, which others may share, else of the clock."""
    cuda = options.device.startswith("cuda")
    clock, times = perf_counter if cuda else process_time, []
    for _ in range(options.repeats):
        start = clock()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(1000 * (clock() - start))
    return min(times)


if __name__ == "__main__":
    main()
