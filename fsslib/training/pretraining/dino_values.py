"""Values of a ViT's last block that tell cells apart as they are, without seeing them from their
picture's mean.

The weights of attention sum to 1. So whatever affine map a head's values go through, the
projection after it can undo: what the network says stays the same, and only cosines of values
change. Chosen is the map that takes away what all cells of a picture share: along the directions in
which the means of pictures differ it divides by how much they do.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.encoders.dino import Dino
from fsslib.training.pretraining.crops import Crops, Pictures


@torch.no_grad()
def even_values(encoder: Dino, pictures: Pictures, share: float, size: int, seed: int = 0) -> Dino:
    """A copy of a DINO with the same output and other values.

    Args:
        share: of the mean variance of a head's values within pictures, added to that of their
            means; the smaller it is, the more directions are made equal.
        size: side of the squares that are looked at, of up to 300 pictures.
    """
    encoder, batch = copy.deepcopy(encoder), min(50, len(pictures))
    steps = min(6, len(pictures) // batch)
    looks = Crops(pictures, size, batch, steps, seed, brightness=0.0)
    device = encoder.statistics.device
    cells = torch.cat([encoder.last_qkv(looks[i].to(device))[2] for i in range(steps)])[:, :, 1:]
    maps = torch.stack([_map(head, share) for head in cells.unbind(1)])
    means = cells.mean((0, 2))
    attention = encoder.model.blocks[-1].attn
    heads, width = means.shape
    weight = attention.qkv.weight[-heads * width :].unflatten(0, (heads, width))
    bias = attention.qkv.bias[-heads * width :].unflatten(0, (heads, width))
    after = attention.proj.weight.unflatten(1, (heads, width))
    attention.proj.bias += torch.einsum("chd,hd->c", after, means)
    undone = torch.einsum("chd,hde->che", after, torch.linalg.inv(maps))
    attention.proj.weight.copy_(undone.flatten(1))
    weight.copy_(maps @ weight)
    bias.copy_(torch.einsum("hde,he->hd", maps, bias - means))
    return encoder


def _map(values: Float[Tensor, "b n d"], share: float) -> Float[Tensor, "d d"]:
    """Inverse root of the covariance of pictures' means and of a share of the variance in them."""
    means = values.mean(1)
    within = (values - means[:, None]).square().mean()
    strengths, directions = torch.linalg.eigh(means.T.cov())
    scales = (strengths.clamp_min(0) + share * within) ** -0.5
    return directions @ torch.diag(scales) @ directions.T
