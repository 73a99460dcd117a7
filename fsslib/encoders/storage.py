"""Weights as files hold them: in half precision, and numbers throughout.

Whoever writes or loads weights asks here, so that what a diverged training left is named and never
scored, and what is scored is what was saved.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says what was tried and what to do."""


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """fp16 storage: half the size. Counters stay as they are, and so do tensors with numbers that
    fp16 does not reach (beyond 65,504, such as a variance of BatchNorm)."""
    return {key: _halved(value.detach()).cpu().contiguous() for key, value in state.items()}


def _halved(value: Tensor) -> Tensor:
    if not value.is_floating_point() or value.dtype == torch.float16:
        return value
    half = value.half()
    return value if (half.isinf() & value.isfinite()).any() else half


def as_stored(network: nn.Module) -> nn.Module:
    """Round a network's weights to what `write_weights` keeps, so that what is scored is what is
    saved."""
    network.load_state_dict(halved(network.state_dict()))
    return network


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity, in order; waits once for the device."""
    names = [name for name, value in state.items() if value.is_floating_point()]
    if not names:
        return []
    device = state[names[0]].device
    whole = torch.stack([state[name].detach().isfinite().all().to(device) for name in names])
    return [name for name, good in zip(names, whole.tolist(), strict=True) if not good]


def require_finite(state: Mapping[str, Tensor], origin: str) -> None:
    """WeightsError, naming the tensors, where a training that diverged has left NaN or infinity."""
    if broken := not_finite(state):
        raise WeightsError(
            f"{origin} holds values that are not finite in {broken[:5]}; the training that "
            "made them had diverged: repeat it with a lower learning rate"
        )
