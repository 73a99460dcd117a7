"""What a call has to do, counted: operations, bytes, and the convolutions among them.

Operations are those of `torch.utils.flop_counter`: a multiplication and an addition are two.
Convolutions and products that run as oneDNN's own operators, which it does not know, are added.
Bytes are what every operator reads and writes, each tensor once: what has to move where nothing is
fused and nothing stays in a cache. Views move nothing.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    conv_flop_count,
    flop_registry,
    sdpa_flop_count,
    shape_wrapper,
)

aten = torch.ops.aten


class Convolution(NamedTuple):
    """A convolution of two dimensions, as far as its time depends on it."""

    input: tuple[int, ...]
    weight: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def _operations_of(each: Convolution) -> int:
    sides = zip(each.input[2:], each.weight[2:], *each[2:5], strict=True)
    out = prod((n + 2 * pad - d * (k - 1) - 1) // step + 1 for n, k, pad, step, d in sides)
    return 2 * each.input[0] * out * prod(each.weight)


@dataclass(frozen=True)
class Counts:
    """Of one call."""

    operations: int
    bytes: int
    convolved: int
    """Operations of the forward convolutions among them."""
    convolutions: collections.Counter[Convolution]
    """How often each of those is made."""


def count(call: Callable[[], object]) -> Counts:
    """Make the call once and count."""
    with _Counter() as counter:
        call()
    shapes = counter.convolutions.items()
    made = sum(number * _operations_of(each) for each, number in shapes)
    return Counts(counter.operations, counter.bytes, made, counter.convolutions)


class _Counter(TorchDispatchMode):
    """Operations, bytes and convolutions of everything that runs.

    Not `FlopCounterMode` itself, whose book-keeping by modules cannot follow an inner
    `torch.autograd.grad`; the formulas are its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0
        self.convolutions: collections.Counter[Convolution] = collections.Counter()
        self.formulas = {**flop_registry, **_operators_of_cpus()}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _is_composite(function.name()):  # only inference mode leaves such an operator whole
            with self:
                return function.decompose(*args, **kwargs)
        made = function(*args, **kwargs)
        if formula := self.formulas.get(function.overloadpacket):
            self.operations += formula(*args, **kwargs, out_val=made)
        if function is aten.convolution.default and not args[6] and args[0].ndim == 4:
            image, weight, _, stride, padding, dilation, _, _, groups = args
            shapes = tuple(image.shape), tuple(weight.shape)
            settings = (tuple(each) for each in (padding, stride, dilation))
            self.convolutions[Convolution(*shapes, *settings, groups)] += 1
        if not function.is_view:
            self.bytes += sum(map(_bytes, _tensors((args, tuple(kwargs.values()), made))))
        return made


@cache
def _is_composite(name: str) -> bool:
    """Whether an operator is made of others, whatever the device."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, key)


def _bytes(tensor: Tensor) -> int:
    """Of what a tensor shows, not of what it was expanded from."""
    return tensor.numel() * tensor.element_size()


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def _operators_of_cpus() -> dict[Any, Callable[..., int]]:
    """How operators of CPUs are counted, as far as this torch has them."""

    def convolution(image: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return conv_flop_count(image, weight, out_shape, False)

    def product(rows: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return 2 * prod(out_shape) * rows[-1]

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    formulas = {
        "aten.mkldnn_convolution": convolution,
        "aten._scaled_dot_product_flash_attention_for_cpu": attention,
        "mkldnn._convolution_pointwise": convolution,
        "mkldnn._linear_pointwise": product,
    }
    known = {}
    for name, formula in formulas.items():
        library, operator = name.split(".")
        space = getattr(torch.ops, library)
        if hasattr(space, operator):
            known[getattr(space, operator)] = shape_wrapper(formula)
    return known
