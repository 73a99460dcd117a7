"""Learning-rate schedules as plain functions of the step.

The learning rate in a config is the one in force. PFENet's and BAM's code multiply theirs by ten
behind the config's back (`index_split=-1`): the `official` recipes state the product.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi
from typing import Literal

Schedule = Literal["poly", "step", "stairs", "cosine", "constant"]


def poly(step: int, steps: int, power: float = 0.9, warmup: int = 0) -> float:
    """Factor (1 - step/steps)^power; during warm-up it rises linearly from 0.1 to 1."""
    if step < warmup:
        return 0.1 + 0.9 * step / warmup
    return (1 - step / steps) ** power


def cosine(step: int, steps: int, warmup: int = 0) -> float:
    """Factor falling from 1 to 0 along half a cosine, after a linear warm-up from 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + cos(pi * (step - warmup) / max(steps - warmup, 1)))


def step_decay(step: int, milestones: Iterable[int], factor: float = 0.1) -> float:
    """`factor` to the power of milestones passed."""
    return factor ** sum(step >= milestone for milestone in milestones)


def learning_rate(base: float, schedule: Schedule, step: int, steps: int, warmup: int = 0) -> float:
    """The rate of a step in 0..steps-1. `step`: tenfold lower after 60 % and again after 80 %.
    `stairs`: tenfold lower after every fifth."""
    factors = {
        "poly": lambda: poly(step, steps, warmup=warmup),
        "cosine": lambda: cosine(step, steps, warmup),
        "step": lambda: step_decay(step, (int(0.6 * steps), int(0.8 * steps))),
        "stairs": lambda: step_decay(step, [steps * part // 5 for part in range(1, 5)]),
        "constant": lambda: 1.0,
    }
    if schedule not in factors:
        raise ValueError(f"schedule={schedule!r}: expected one of {sorted(factors)}")
    return base * factors[schedule]()
