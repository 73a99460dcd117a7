"""BatchNorm over parts of a batch, for one process (MoCo's notebook for CIFAR has the same).

The mean and variance of a batch give away which pictures are in it: key and query of one picture
share them, the queue's keys do not, and the encoder learns to recognise batches. MoCo shuffles keys
among processes, each with statistics of its own. Here one process normalises every part of its
batch by itself, and the keys are shuffled so that their parts are others than the queries'.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class SplitBatchNorm2d(nn.BatchNorm2d):
    """In training, normalises each of `splits` equal parts of the batch by itself.

    The running statistics become the mean over what each part would have made of them. In
    evaluation, and with one split, an ordinary BatchNorm; the names of its tensors are the same.
    """

    splits: int = 1

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if not self.training or self.splits == 1:
            return super().forward(inputs)
        if len(inputs) % self.splits:
            raise ValueError(
                f"a batch of {len(inputs)} is not divisible by bn_splits={self.splits}"
            )
        means = self.running_mean.repeat(self.splits, 1)
        variances = self.running_var.repeat(self.splits, 1)
        parts = [
            F.batch_norm(part, mean, var, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, var in zip(inputs.chunk(self.splits), means, variances, strict=True)
        ]
        with torch.no_grad():
            self.running_mean.copy_(means.mean(0))
            self.running_var.copy_(variances.mean(0))
            self.num_batches_tracked.add_(1)
        return torch.cat(parts)


def split_batch_norm(network: nn.Module, splits: int) -> nn.Module:
    """Turn every BatchNorm2d of `network` into one that splits; weights stay where they are."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SplitBatchNorm2d
            module.splits = splits
    return network
