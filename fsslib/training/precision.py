"""Half precision by autocast, in trainings and for scores; what is sensitive stays in fp32 inside
(`fsslib.fp32`)."""

from __future__ import annotations

import torch

from fsslib.settings import Precision

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device | str) -> torch.autocast:
    """Half precision in a `with` block.

    Raises:
        ValueError: fp16 on a CPU.
    """
    kind = torch.device(device).type
    require_precision(precision, kind)
    half = _HALVES.get(precision, torch.bfloat16)
    return torch.autocast(kind, half, enabled=precision != "fp32")


def require_precision(precision: Precision, device: torch.device | str) -> None:
    """ValueError where a device has no such autocast that losses could be scaled for."""
    if precision == "fp16" and torch.device(device).type == "cpu":
        raise ValueError("precision='fp16' is for GPUs; on a CPU use 'bf16', or 'fp32'")
