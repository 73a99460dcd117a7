"""A batch that several processes share, learned from as if one process had all of it.

Gradients add up whoever computes them. Three functions do not see pictures one by one: BatchNorm's
statistics are those of all pictures that are learned from at a time, cross-entropy is a mean over
the pixels that count in all of them, and dropout's masks follow one another in one stream of random
numbers. While a loss is computed all three stand for all processes: what they count is summed over
them, and each process draws the masks of all and takes its own. So the number of processes changes
the order in which numbers are added, and nothing else.

torch.nn.SyncBatchNorm would do the first on GPUs alone, and takes the modules' place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, distributed

from fsslib.training.processes import Share

_batch_norm, _cross_entropy = F.batch_norm, F.cross_entropy
_OF_CHANNELS = ("dropout1d", "dropout2d", "dropout3d")


class Whole:
    """What was computed for all processes together.

    Attributes:
        means: whether a cross-entropy was, so that the processes' losses count alike.
    """

    means = False


@contextmanager
def as_one(share: Share, number: int, device: torch.device) -> Iterator[Whole]:
    """What is computed inside of it is a part of what `share.of` processes compute together.

    Everything but dropout that draws random numbers gets different ones in every process.

    Args:
        number: of the part, counted over the whole training; all processes are at the same.
    """
    whole = Whole()
    if share.of == 1:
        yield whole
        return
    stream = _Stream(device)
    with ExitStack() as stack:
        stack.enter_context(patch.object(F, "batch_norm", batch_norm))
        stack.enter_context(patch.object(F, "cross_entropy", _mean_over_all(share, whole)))
        for name in ("dropout", *_OF_CHANNELS):
            masked = _dropout(getattr(F, name), name in _OF_CHANNELS, share, stream)
            stack.enter_context(patch.object(F, name, masked))
        torch.manual_seed(torch.initial_seed() + 1 + number * share.of + share.rank)
        try:
            yield whole
        finally:
            stream.restore()


class _Stream:
    """The random numbers that all processes draw alike, put aside until they are needed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.state = self._state()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Inside, numbers come from it."""
        others = self._state()
        self.restore()
        yield
        self.state = self._state()
        self._set(others)

    def restore(self) -> None:
        self._set(self.state)

    def _state(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        on_gpu = self.device.type == "cuda"
        return states + ([torch.cuda.get_rng_state(self.device)] if on_gpu else [])

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.device)


def _dropout(
    function: Callable[..., Tensor], of_channels: bool, share: Share, stream: _Stream
) -> Callable[..., Tensor]:
    """A dropout whose mask is this process's part of what one process would draw. The first
    dimension goes over the pictures, those of a process together."""

    def dropout(
        values: Tensor, p: float = 0.5, training: bool = True, *_: Any, **__: Any
    ) -> Tensor:
        if not training or p == 0.0:
            return values
        one = values[:, :, *[slice(1)] * (values.ndim - 2)] if of_channels else values
        with stream.flowing(), torch.no_grad():
            mask = function(one.new_ones((share.of * len(one), *one.shape[1:])), p, True)
        return values * mask.chunk(share.of)[share.rank]

    return dropout


def batch_norm(
    values: Float[Tensor, "b c *rest"],
    running_mean: Float[Tensor, " c"] | None,
    running_var: Float[Tensor, " c"] | None,
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Float[Tensor, "b c *rest"]:
    """torch's, in training with the mean and variance over all processes; all of them must ask.

    They see the same number of pictures, or not: what is summed is counted. The running variance is
    the unbiased one, as ever.
    """
    if not training:
        return _batch_norm(values, running_mean, running_var, weight, bias, False, momentum, eps)
    exact = values.float()
    over = [0, *range(2, values.ndim)]
    number = exact.new_tensor([values.numel() / values.shape[1]])
    sums = _Total.apply(torch.cat([exact.sum(over), number]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centred = exact - _beside(mean, values)
    variance = _Total.apply(centred.square().sum(over)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            unbiased = variance * count / (count - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    gain = (variance + eps).rsqrt()
    if weight is not None:
        gain = gain * weight
    normal = centred * _beside(gain, values)
    return (normal if bias is None else normal + _beside(bias, values)).to(values.dtype)


def _mean_over_all(share: Share, whole: Whole) -> Callable[..., Tensor]:
    """torch's cross-entropy, whose mean over the processes is the mean over all that they count."""

    def cross_entropy(
        logits: Tensor, target: Tensor, weight: Tensor | None = None, **options: Any
    ) -> Tensor:
        of_means = options.get("reduction", "mean") == "mean" and not target.is_floating_point()
        if weight is not None or not of_means:
            return _cross_entropy(logits, target, weight, **options)
        whole.means = True
        counted = (target != options.get("ignore_index", -100)).sum().float()
        distributed.all_reduce(counted)
        total = _cross_entropy(logits, target, **options | {"reduction": "sum"})
        return total * share.of / counted

    return cross_entropy


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes. Each of them uses it, so that its gradient is a sum
    as well."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _beside(channels: Tensor, values: Tensor) -> Tensor:
    """One number a channel, to be computed with (b, c, …)."""
    return channels.view(-1, *[1] * (values.ndim - 2))
