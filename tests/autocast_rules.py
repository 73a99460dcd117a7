"""Autocast on the virtual device: which operators run in half precision and which in fp32.

A backend brings its own rules; these are CUDA's ("Autocast Op Reference" of PyTorch's manual), as
far as the package uses them. Everything else keeps the precision of what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

HALF = (
    *("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear", "matmul", "mm", "mv", "bmm"),
    *("addmm", "addmv", "addbmm", "baddbmm", "prelu", "scaled_dot_product_attention"),
    "einsum",  # of products; inference mode hands it over whole
)
WHOLE = (
    *("softmax", "log_softmax", "layer_norm", "group_norm", "norm", "exp", "log", "log1p", "pow"),
    *("rsqrt", "reciprocal", "sum", "prod", "cumsum", "softplus", "cdist", "cosine_similarity"),
    *("nll_loss", "nll_loss2d", "cross_entropy_loss", "binary_cross_entropy_with_logits"),
    *("mse_loss", "l1_loss", "smooth_l1_loss", "kl_div", "linalg_vector_norm"),
)
PROMOTED = ("cat", "stack", "addcmul", "addcdiv", "atan2", "grid_sampler", "scatter_add", "dot")
KEY = torch._C.DispatchKey.AutocastPrivateUse1
_libraries: list[torch.library.Library] = []  # a rule ends with its library


def install(device: str) -> None:
    """Give the PrivateUse1 backend, named `device`, its rules."""
    others = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    others.fallback(torch.library.fallthrough_kernel)
    rules = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    _libraries.extend([others, rules])
    casts = {name: _to_half(device) for name in HALF}
    casts |= dict.fromkeys(WHOLE, _to_whole)
    casts |= dict.fromkeys(PROMOTED, _to_widest)
    for name, cast in casts.items():
        packet = getattr(torch.ops.aten, name)
        for overload in packet.overloads():
            if "out" not in overload:
                operator = getattr(packet, overload)
                rules.impl(operator.name().removeprefix("aten::"), _kernel(operator, cast))


def _kernel(operator: Any, cast: Callable[[tuple, dict], tuple]) -> Callable:
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(KEY)):
            args, kwargs = cast(args, kwargs)
            return operator(*args, **kwargs)

    return run


def _to_half(device: str) -> Callable[[tuple, dict], tuple]:
    return lambda args, kwargs: _cast((args, kwargs), torch.get_autocast_dtype(device))


def _to_whole(args: tuple, kwargs: dict) -> tuple:
    return _cast((args, kwargs), torch.float32)


def _to_widest(args: tuple, kwargs: dict) -> tuple:
    flat = [part for value in args for part in (value if isinstance(value, list) else [value])]
    whole = any(isinstance(part, Tensor) and part.dtype == torch.float32 for part in flat)
    return _to_whole(args, kwargs) if whole else (args, kwargs)


def _cast(arguments: tuple[tuple, dict], dtype: torch.dtype) -> tuple:
    args, kwargs = arguments
    return tuple(_as(value, dtype) for value in args), {
        name: _as(value, dtype) for name, value in kwargs.items()
    }


def _as(value: Any, dtype: torch.dtype) -> Any:
    """A value, or a list of them, with floating point tensors in `dtype`; double stays double."""
    if isinstance(value, (list, tuple)):
        return [_as(part, dtype) for part in value]
    casts = isinstance(value, Tensor) and value.is_floating_point()
    return value.to(dtype) if casts and value.dtype != torch.float64 else value
