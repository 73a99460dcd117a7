"""Half precision where a device has it; what is sensitive stays in fp32 inside of it, by `.float()`
where it is computed."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device | str) -> torch.autocast:
    """Half precision in a `with` block, on GPUs; the CPU always computes in fp32."""
    kind = torch.device(device).type
    enabled = precision != "fp32" and kind != "cpu"
    return torch.autocast(kind, _HALVES.get(precision, torch.bfloat16), enabled=enabled)
