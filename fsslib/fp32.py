"""What is computed in fp32 whatever autocast says.

Half precision is for convolutions, linear layers and attention within a picture. What magnifies
small differences (softmaxes with a temperature, min-max, thresholds), sums over all pixels or
divides by norms loses its meaning there; on a CPU, autocast leaves even softmax and norms in half
precision. Such functions carry `in_fp32`; `fsslib/README.md` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

EXACT: list[str] = []
"""Module and name of every function that carries `in_fp32`, as far as its module is imported."""


def in_fp32(function: Function) -> Function:
    """Decorator: autocast is off inside, and tensors in half precision come as fp32, also those in
    lists. Other types stay."""
    EXACT.append(f"{function.__module__.removeprefix('fsslib.')}.{function.__qualname__}")

    @wraps(function)
    def exact(*args: Any, **kwargs: Any) -> Any:
        tensor = next(_tensors((*args, *kwargs.values())), None)
        if tensor is None:
            return function(*args, **kwargs)
        with torch.autocast(tensor.device.type, enabled=False):
            whole = {name: _whole(value) for name, value in kwargs.items()}
            return function(*map(_whole, args), **whole)

    return exact


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _whole(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if type(value) in (list, tuple):
        return type(value)(_whole(part) for part in value)
    return value
