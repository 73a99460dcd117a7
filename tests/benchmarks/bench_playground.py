"""What the playground does while a slider is dragged: milliseconds a redraw, and encoder passes.

    python tests/benchmarks/bench_playground.py

The example page with its three methods chosen, embedded encoders. Printed for the threshold, for an
option over cached features, for a new mask on the support and, to compare, for new pictures:
medians of wall clock and of processor time, and how many passes of pictures began.
"""

import time
from collections.abc import Callable
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from fsslib.own_pictures.choice import build
from fsslib.own_pictures.playground.menu import GAMMA
from fsslib.own_pictures.playground.page import Playground

REPEATS = 15


def encoders(method: nn.Module) -> list[nn.Module]:
    """The layers that see pixels: a pass of a picture begins with one of them."""
    return [m for m in method.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]


def measure(name: str, act: Callable[[int], None], passes: list[int]) -> None:
    walls, processor = [], []
    before = len(passes)
    for number in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        act(number)
        walls.append(1000 * (time.perf_counter() - wall))
        processor.append(1000 * (time.process_time() - cpu))
    print(
        f"{name:<34} {median(walls):6.0f} ms wall {median(processor):6.0f} ms processor "
        f"{(len(passes) - before) / REPEATS:5.1f} passes of pictures"
    )


def main() -> None:
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        page, passes = Playground(folder), []
        for answer in page.answers.values():
            for layer in encoders(build(answer.entry.choice)):
                layer.register_forward_hook(lambda *_: passes.append(1))
        mask = page.inputs.support.mask
        print(f"{len(page.answers)} methods: {', '.join(page.answers)}")
        measure("threshold", lambda i: setattr(page.threshold, "value", 0.3 + 0.02 * i), passes)
        measure("option", lambda i: page.set_option(GAMMA, 0.1 + 0.02 * i), passes)

        def stroke(number: int) -> None:
            painted = mask.copy()
            painted[: 4 * number + 4, :9] = 1
            page.inputs.support.mask = np.ascontiguousarray(painted)

        measure("a stroke: all methods anew", stroke, passes)
        measure("other pictures", lambda i: page.inputs.show(i + 1), passes)


if __name__ == "__main__":
    main()
