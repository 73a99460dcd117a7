"""The processes that share a training or an evaluation, and what they tell each other.

`torchrun` or `accelerate launch` starts them; `runs/processes.py` does so for a run. Each has a GPU
of its own, or a thread of the CPU, and learns from its share of every batch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import distributed

PATIENCE = timedelta(minutes=10)
"""How long one waits for another that still runs; where one has died, its launcher ends the others
at once."""


class Share(NamedTuple):
    """Number `rank` of `of` processes."""

    rank: int = 0
    of: int = 1

    def part(self, items: Sequence[Any]) -> list[Any]:
        """Those of some items that are this process's: one of every `of`, in order."""
        return list(items[self.rank :: self.of])


ALONE = Share()


def launched() -> int:
    """How many processes this one was launched with; 1: it is alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_share() -> Share:
    """Which of its processes this is, as its launcher says."""
    count = launched()
    return Share(int(os.environ["RANK"]), count) if count > 1 else ALONE


def processes(device: torch.device | str) -> Accelerator:
    """The processes that this one was launched with, connected: by NCCL on GPUs, by gloo on CPUs.

    Accelerate is asked for nothing but them: it keeps one precision and one device for the life of
    a process, and a notebook trains with several.
    """
    on_cpu = launched() == 1 or torch.device(device).type == "cpu"
    patience = [InitProcessGroupKwargs(timeout=PATIENCE)]
    return Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=patience)


def everyones(own: Any) -> list[Any]:
    """What every process has, by rank; all of them must ask."""
    answers: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(answers, own)
    return answers
