"""Linear layers and 1x1 convolutions by oneDNN on a CPU, for frozen networks.

PyTorch gives both to its BLAS, convolutions where there is one thread and few pictures. MKL's
product of fp32 matrices uses half of the vector width on CPUs that are not Intel's, oneDNN's
convolution all of it: 90 against 190 GFLOP/s of one core of an AMD EPYC, with equal results up to
rounding. Elsewhere nothing changes.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEWEST = 20_480
"""Numbers that a layer reads; below, handing them over costs more (PyTorch's own limit)."""
Network = TypeVar("Network", bound=nn.Module)


def by_onednn(network: Network) -> Network:
    """The network itself, whose linear layers and 1x1 convolutions compute here from now on. Its
    modules change their class and nothing else: names, weights and results stay."""
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = _Linear
        elif type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.groups == 1:
            module.__class__ = _Pointwise
    return network


def linear(
    inputs: Float[Tensor, "... c"], weight: Float[Tensor, "d c"], bias: Tensor | None = None
) -> Float[Tensor, "... d"]:
    """`F.linear`; by oneDNN where it can, for gradients of the inputs, too."""
    learns = torch.is_grad_enabled() and weight.requires_grad
    if learns or not _suits(inputs, weight):
        return F.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and inputs.requires_grad:
        return _Frozen.apply(inputs, weight, bias)
    return _product(inputs, weight, bias)


class _Linear(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.weight, self.bias)


class _Pointwise(nn.Conv2d):
    def forward(self, inputs: Tensor) -> Tensor:
        if not _suits(inputs, self.weight) or inputs.ndim != 4 or self.padding != (0, 0):
            return super().forward(inputs)
        return _convolved(inputs, self.weight, self.bias, self.stride)


class _Frozen(torch.autograd.Function):
    """A linear layer that does not learn, and the gradient of what it reads."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(weight)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _product(gradient, context.saved_tensors[0].mT, None), None, None


def _suits(inputs: Tensor, weight: Tensor) -> bool:
    return (
        inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.numel() >= FEWEST
        and torch.backends.mkldnn.enabled
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # which chooses by itself
    )


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Rows as the pixels of one picture in channels-last order."""
    picture = inputs.flatten(0, -2)[None, None].permute(0, 3, 1, 2)  # (1, c, 1, rows)
    out = _convolved(picture, weight[:, :, None, None], bias).permute(0, 2, 3, 1)
    return out.unflatten(2, inputs.shape[:-1])[0, 0]


def _convolved(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...] = (1, 1)
) -> Tensor:
    return torch.mkldnn_convolution(inputs, weight, bias, (0, 0), stride, (1, 1), 1)
