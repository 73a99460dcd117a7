"""What PyTorch's operators say of themselves, for a dispatch mode that runs them elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor


def tensors_of(values: Any) -> Iterator[Tensor]:
    """All tensors of an operator's arguments, also those in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors_of(value)


def each(change: Callable[[Any], Any], value: Any) -> Any:
    """`change` applied to a value, or to all that a list or tuple of them holds."""
    if isinstance(value, (list, tuple)):
        return type(value)([each(change, part) for part in value])
    return change(value)


@cache
def is_view(function: Any) -> bool:
    """Whether an operator gives another view of what it is given."""
    return any(made.alias_info is not None for made in function._schema.returns)


@cache
def is_composite(function: Any) -> bool:
    """Whether an operator is made of others, whatever the device."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(
        function.name(), torch._C.DispatchKey.CompositeImplicitAutograd
    )


def written_arguments(function: Any, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """Arguments that an operator changes."""
    return [
        kwargs.get(argument.name, args[place] if place < len(args) else None)
        for place, argument in enumerate(function._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def running_line(watched: str) -> str:
    """`file:line` of the innermost frame whose path holds `watched`, from there on."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if watched in path:
            return f"{path.rpartition(watched)[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "(elsewhere)"
