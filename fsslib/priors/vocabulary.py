"""From cosines with names to classes, as SCLIP, NACLIP, ClearCLIP and ProxyCLIP decide.

A class may have several names. Softmax is over all names, a class is as likely as the likeliest of
its own (so that classes do not sum to 1), and what no class is likely enough for is background.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.fp32 import in_fp32


@in_fp32
def class_probabilities(
    cosines: Float[Tensor, "b names h w"], class_of: Sequence[int], scale: float = 40.0
) -> Float[Tensor, "b classes h w"]:
    """The likeliest name of every class, 0..1.

    Args:
        class_of: the class of each name; every number from 0 on has one at least.
        scale: 1 / temperature of the softmax.

    Raises:
        ValueError: another number of names than of cosines, or a class without any.
    """
    classes = max(class_of, default=-1) + 1
    if len(class_of) != cosines.shape[1] or set(class_of) != set(range(classes)):
        raise ValueError(
            f"class_of={list(class_of)} for {cosines.shape[1]} names: expected a class for each of "
            "them, numbered from 0 without a gap"
        )
    chances = (scale * cosines).softmax(1)
    owners = torch.as_tensor(class_of, device=cosines.device)
    owners = owners[None, :, None, None].expand_as(chances)
    best = chances.new_zeros(len(chances), classes, *chances.shape[-2:])
    return best.scatter_reduce(1, owners, chances, "amax")


def decide(
    probabilities: Float[Tensor, "b classes h w"], threshold: float = 0.0
) -> UInt8[Tensor, "b h w"]:
    """The likeliest class of every pixel; 0 where it is less likely than `threshold`."""
    best, chosen = probabilities.max(1)
    return torch.where(best < threshold, 0, chosen).to(torch.uint8)
