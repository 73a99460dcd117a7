"""What this machine can do at best, to hold times against.

Two rates, measured in turn with what is held against them: fp32 operations a second of one large
matrix product, and bytes a second of one large copy (read and written). A call's floor is the time
that its operations would take at the one rate, or its bytes at the other, whichever is longer.
Neither is a law: on CPUs where MKL's products are slow, oneDNN's convolutions are twice as fast as
this floor, on GPUs cuDNN's in TF32 are, and what fits into caches moves faster than a large copy.
`onednn_convolutions` is the stricter measure on a CPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch

from fsslib.bench.counting import Convolution

SIDES = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices: a product of some 20 ms."""
FLOATS = {"cpu": 2**25, "cuda": 2**28}
"""In the copied tensor: more than a cache holds."""


class Rates:
    """The two calls that say how fast a machine is just now."""

    def __init__(self, device: str) -> None:
        kind = torch.device(device).type
        side, floats = SIDES[kind], FLOATS[kind]
        factors = torch.randn(2, side, side, device=device)
        target, source = torch.zeros(2, floats, device=device)
        self.operations, self.bytes = 2 * side**3, 2 * 4 * floats
        self.calls: tuple[Callable[[], object], Callable[[], object]] = (
            lambda: torch.mm(*factors),
            lambda: target.copy_(source),
        )

    def per_second(self, milliseconds: list[list[float]]) -> tuple[list[float], list[float]]:
        """Operations and bytes a second in each round, from the two calls' times."""
        product, copied = milliseconds
        return (
            [1000 * self.operations / time for time in product],
            [1000 * self.bytes / time for time in copied],
        )


def onednn_convolutions(convolutions: Counter[Convolution]) -> Callable[[], object]:
    """A call that makes a row's own convolutions and nothing else, each by oneDNN's operator: on
    tensors in channels-last order, as often as the row makes it.

    torch itself takes another way for some of them, such as 1x1 on one thread.
    """
    order = torch.channels_last
    made = [
        (each, torch.randn(each.input).to(memory_format=order), torch.randn(each.weight), number)
        for each, number in convolutions.items()
    ]
    made = [(each, image, weight.to(memory_format=order), n) for each, image, weight, n in made]

    @torch.inference_mode()
    def call() -> None:
        for each, image, weight, number in made:
            for _ in range(number):
                torch.mkldnn_convolution(
                    image, weight, None, each.padding, each.stride, each.dilation, each.groups
                )

    return call
