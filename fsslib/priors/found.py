"""FOUND's background seed (Siméoni et al., CVPR 2023, Sec. 3.1): like the least looked at.

Training-free. The cell that the class token attends to least is background; so is what resembles
it. Heads whose attention is spread over many cells say little, and weigh little.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fsslib.fp32 import in_fp32

EPS = 1e-10


@in_fp32
def background_seed(
    attention: Float[Tensor, "b heads n"],
    keys: Float[Tensor, "b heads n d"],
    threshold: float = 0.3,
) -> Bool[Tensor, "b n"]:
    """True where a cell is background.

    Args:
        attention: of the class token on the n cells.
        keys: of the same block, without the class token.
        threshold: of the cosine with the reference.
    """
    mean = attention.mean((1, 2), keepdim=True)
    share = (attention > mean).float().mean(2)  # Q_h, (b, heads)
    beta = ((share + EPS).sum(1, keepdim=True) / (share + EPS)).log()[..., None]
    weighted = F.normalize((keys * beta[..., None]).transpose(1, 2).flatten(2), dim=-1)
    reference = (attention * beta).sum(1).argmin(1)
    chosen = weighted[torch.arange(len(keys), device=keys.device), reference]
    return torch.einsum("bnd,bd->bn", weighted, chosen) > threshold
