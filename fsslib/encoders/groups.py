"""Large pictures one after the other through a frozen network, where that is the cheaper way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fsslib.encoders.pass_cache import Made

GROUP_NUMBERS = 2**20
"""Of pictures, or of layer3, that go through a network together on a CPU."""


def in_groups(make: Callable[..., Made], inputs: Tensor, *aligned: Tensor) -> Made:
    """`make(inputs, *beside)`; on a CPU, large pictures go one after the other, which needs less
    memory and time: tensors that outgrow the caches are mapped anew for every layer."""
    count = len(inputs)
    most = max(1, GROUP_NUMBERS * count // max(1, inputs.numel()))
    if inputs.device.type != "cpu" or count <= most or inputs.requires_grad:
        return make(inputs, *aligned)
    whole: Made = ()
    for start in range(0, count, most):
        made = make(*(part[start : start + most] for part in (inputs, *aligned)))
        whole = whole or tuple(_empty_like(part, count) for part in made)
        for target, part in zip(whole, made, strict=True):
            target[start : start + most] = part
        del made  # before the next group is made
    return whole


def _empty_like(part: Tensor, count: int) -> Tensor:
    """Room for `count` pictures, in the same layout."""
    rows = part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if rows else torch.contiguous_format
    return torch.empty(
        (count, *part.shape[1:]), dtype=part.dtype, device=part.device, memory_format=layout
    )
