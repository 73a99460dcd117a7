"""Whether weights are numbers: the one check for whoever writes or loads them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity, in order; waits once for the device."""
    names = [name for name, value in state.items() if value.is_floating_point()]
    if not names:
        return []
    whole = torch.stack([state[name].detach().isfinite().all() for name in names])
    return [name for name, good in zip(names, whole.tolist(), strict=True) if not good]


def in_short(names: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
