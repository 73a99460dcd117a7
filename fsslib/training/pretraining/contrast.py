"""What MoCo is made of: a queue of keys, InfoNCE, and an encoder that follows another slowly.

He et al., CVPR 2020, Algorithm 1; Chen et al., 2020 (MoCo-v2); QGNet's Eqs 1 and 6 are the same
loss. The sum of Eq. 1 has K+1 terms, of which number 0 is the positive.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fsslib.fp32 import in_fp32


class KeyQueue(nn.Module):
    """The last K keys, oldest first overwritten; random unit vectors to begin with.

    Attributes:
        keys: (dim, K), columns of length 1.
        pointer: column that the next key goes to, (1,) int64.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(dim, length), dim=0))
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.int64))

    def __len__(self) -> int:
        return self.keys.shape[1]

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "n dim"]) -> None:
        """Put `keys` in the place of the oldest ones.

        Raises:
            ValueError: the queue's length is no multiple of their number.
        """
        if len(self) % len(keys):
            raise ValueError(
                f"{len(keys)} keys do not divide a queue of {len(self)}: choose a queue that is a "
                "multiple of the batch, or drop the last batch of an epoch"
            )
        # The pointer stays on its device: asking for its value would wait for all that is queued.
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % len(self)
        self.keys[:, places] = keys.T
        self.pointer.add_(len(keys)).remainder_(len(self))


@in_fp32
def contrast_logits(
    queries: Float[Tensor, "n dim"],
    keys: Float[Tensor, "n dim"],
    negatives: Float[Tensor, "dim k"],
    temperature: float,
    extra: Float[Tensor, "n more"] | None = None,
) -> Float[Tensor, "n classes"]:
    """Similarities to the positive key and to all negatives, (n, 1 + K + more), by temperature.

    Args:
        queries, keys: unit vectors; row i of one belongs to row i of the other.
        extra: similarities to further negatives of each query; -inf where there is none.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    parts = [positive, queries @ negatives.detach(), *([] if extra is None else [extra])]
    return torch.cat(parts, 1) / temperature


@in_fp32
def info_nce(
    logits: Float[Tensor, "n classes"], known: Bool[Tensor, " n"] | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy of telling the positive, column 0, from the rest; over the rows that are
    `known` to have one, by default all."""
    target = logits.new_zeros(len(logits), dtype=torch.long)
    if known is not None:
        target = target.masked_fill(~known, -100)  # which cross_entropy leaves out
    return F.cross_entropy(logits, target)


def info_nce_of_known(
    logits: Float[Tensor, "n classes"], known: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """`info_nce` over the rows that have a positive; without any it is 0 with a gradient of 0.
    Nothing waits for the device to count them."""
    some = known.any()
    return info_nce(logits, known | ~some) * some


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, momentum: float, buffers: bool = False) -> None:
    """key = m * key + (1 - m) * query, for parameters.

    BatchNorm's statistics come from the key encoder's own passes in training mode, as in the
    official code; `buffers` copies the query encoder's instead.
    """
    for own, other in zip(key.parameters(), query.parameters(), strict=True):
        own.mul_(momentum).add_(other, alpha=1 - momentum)
    if buffers:
        for own, other in zip(key.buffers(), query.buffers(), strict=True):
            own.copy_(other)


def retrieval_accuracy(
    logits: Float[Tensor, "n classes"], k: int = 1, known: Bool[Tensor, " n"] | None = None
) -> Float[Tensor, ""]:
    """Share of queries whose positive, column 0, is among the k most similar keys: the "Acc@1" and
    "Acc@5" that MoCo's code logs (there in percent), 0..1.

    A key that is exactly as similar as the positive is no more similar. Of the rows that are
    `known` to have a positive, by default all; without any, 0. Nothing is read from the device.
    """
    hits = (logits[:, 1:] > logits[:, :1]).sum(1) < k
    rows = torch.ones_like(hits) if known is None else known
    return (hits & rows).sum() / rows.sum().clamp_min(1)
