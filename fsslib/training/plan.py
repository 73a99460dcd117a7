"""How a training steps: how long, how exactly, how often it says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from fsslib.settings import Precision


@dataclass(frozen=True)
class Plan:
    """How long, how exactly and how often.

    Attributes:
        accumulate: parts of a batch that are learned from one after the other.
        max_grad_norm: 0 leaves gradients as they are.
        log_every: steps between lines of the journal; the last step has one, too.
        report_every: steps between lines on the screen; None: as the checkpoints.
        smooth: which facts are means over the last so many steps.
        draws_globally: whether making a batch draws from torch's own generator, or sets it. A step
            draws from it, too (dropout), and who came first would depend on the clock: such batches
            are made between the steps, not beside one.
    """

    steps: int
    checkpoint_every: int
    precision: Precision = "fp32"
    accumulate: int = 1
    max_grad_norm: float = 0.0
    log_every: int = 25
    report_every: int | None = None
    smooth: tuple[tuple[str, ...], int] = ((), 1)
    draws_globally: bool = False


def learns_statistics(parts: Iterable[Any]) -> bool:
    """Whether the parts (networks, or things with their `modules`) hold BatchNorm in training mode:
    how much it sees at a time then decides the result, and not its last bits only."""
    modules = [m for part in parts if hasattr(part, "modules") for m in part.modules()]
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in modules)
