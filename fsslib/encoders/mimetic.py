"""Mimetic initialisation (Trockman and Kolter, ICML 2023): attention that starts local.

Positions are sines and cosines, queries and keys of a head multiply to nearly the identity, so that
patches attend to what is near and looks alike; values and projection to nearly minus the identity.
From random weights a ViT must find out from pictures that neighbours matter, and has few of them
here.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def start_local(qkv: Float[Tensor, "c3 c"], projection: Float[Tensor, "c c"], heads: int) -> None:
    """Overwrite one block's weights: queries, keys and values one below the other, and what is
    applied to the heads' outputs side by side."""
    width = len(projection)
    query, key, value = qkv.view(3, width, width)
    rank = width // heads
    for head in range(heads):
        left, right = _factors(0.7, 0.7, width)
        rows = slice(head * rank, (head + 1) * rank)
        query[rows], key[rows] = left[:, :rank].T, right[:rank]
    projection[:], value[:] = _factors(0.4, -0.4, width)


def waves(side: int, width: int) -> Float[Tensor, "cells width"]:
    """Positions: a quarter of the channels each: sines and cosines of row and of column."""
    frequency = 100 ** -(torch.arange(width // 4) / (width / 4))
    angles = torch.arange(side)[:, None] * frequency
    table = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = table[:, None].expand(-1, side, -1), table[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


def _factors(noise: float, identity: float, width: int) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is a random one plus a multiple of the identity."""
    product = noise * torch.randn(width, width) / width**0.5 + identity * torch.eye(width)
    left, strength, right = torch.linalg.svd(product)
    return left * strength.sqrt(), strength.sqrt()[:, None] * right
