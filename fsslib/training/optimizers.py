"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn


def build_optimizer(
    name: Literal["sgd", "adamw"],
    parameters: Iterable[nn.Parameter],
    lr: float,
    decay: float,
    slow: Iterable[nn.Parameter] = (),
    slow_factor: float = 1.0,
) -> torch.optim.Optimizer:
    """SGD with momentum 0.9 (PFENet, BAM, QGNet) or AdamW (HDMNet, PI-CLIP).

    Every group carries its `factor` of the learning rate: 1, or `slow_factor` for those `slow`.
    """
    slowed = {id(parameter) for parameter in slow}
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ValueError("nothing to train: every parameter is frozen")
    parts = {1.0: [p for p in trained if id(p) not in slowed]}
    parts[slow_factor] = parts.get(slow_factor, []) + [p for p in trained if id(p) in slowed]
    groups = [{"params": chosen, "factor": factor} for factor, chosen in parts.items() if chosen]
    if name == "sgd":
        return torch.optim.SGD(groups, lr, momentum=0.9, weight_decay=decay)
    if name == "adamw":
        # One pass over all weights: heads have many small ones, whose updates are mostly overhead.
        return torch.optim.AdamW(groups, lr, weight_decay=decay, fused=True)
    raise ValueError(f"optimizer={name!r}: expected 'sgd' or 'adamw'")
