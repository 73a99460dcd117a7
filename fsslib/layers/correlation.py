"""Two maps of where the support's object may be in the query (LFSS's CCM, Eqs. 13 to 17).

Attention between the two masks weighs the support's cells by how much the query's object looks at
them; the prototype that comes of it is compared with every query cell. One map trusts the query's
pseudo mask (RCM, region), the other one does not (FCM, full) and can find what the mask has missed.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.similarity import cosine_map, unit


@in_fp32
def attention_prototype(
    query: Float[Tensor, "b d h w"],
    query_mask: Float[Tensor, "b h w"],
    support: Float[Tensor, "b d h w"],
    support_mask: Float[Tensor, "b h w"],
    temperature: float = 1.0,
) -> Float[Tensor, "b d"]:
    """Mean of the support's object, its cells weighed by the attention they receive (Eqs. 13, 14).

    Query cells attend with a softmax over support cells of the cosine of masked features. At the
    paper's `temperature` of 1 (a factor on the cosine) this is nearly flat, and the result nearly
    masked average pooling. Memory: h w x h w a pair. In fp32, also under autocast.
    """
    q = unit((query * query_mask[:, None]).flatten(2))
    masked = (support * support_mask[:, None]).flatten(2)
    attention = (temperature * torch.einsum("bdi,bdj->bij", q, unit(masked))).softmax(-1)
    received = attention.sum(1)  # (b, support cells)
    area = support_mask.flatten(1).sum(1).clamp(min=1)
    return torch.einsum("bj,bdj->bd", received, masked) / area[:, None]


def correlate(
    query: Float[Tensor, "b d h w"],
    query_mask: Float[Tensor, "b h w"],
    prototype: Float[Tensor, "b d"],
) -> Float[Tensor, "b 2 h w"]:
    """RCM, inside the query's mask and 0 outside, and FCM, everywhere (Eqs. 15 to 17)."""
    full = cosine_map(query, prototype)
    return torch.stack([full * query_mask, full], 1)
