"""The two embedded CLIPs: open_clip models small enough to ship, trained on Scenes-10i captions.

`scenes-clip-rn` is of LFSS's family (ModifiedResNet with attention pool). Its attention pool has a
grid of 384 / 32 = 12 cells a side; layer3 and layer4 do not pool, so that 96 pixels fill that grid
(stride 8). `scenes-clip-vit` is of PI-CLIP's and CLIP-DINOiser's family: eight blocks, patch 8.
It pools the mean of the patch tokens, which is what PI-CLIP's code reads from any CLIP.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from open_clip import CLIP
from torch import Tensor, nn

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_resnet import ClipResNet, stop_pooling
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.tokenizer import WordTokenizer

_TEXT = {"context_length": 48, "width": 128, "heads": 4, "layers": 3}
SMALL_CLIPS: dict[str, dict[str, Any]] = {
    "scenes-clip-rn": {
        "embed_dim": 128,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 24, "image_size": 384},
        "text_cfg": _TEXT,
    },
    "scenes-clip-vit": {
        "embed_dim": 128,
        "vision_cfg": {
            "layers": 8,
            "width": 128,
            "head_width": 32,
            "patch_size": 8,
            "image_size": 96,
            "pool_type": "avg",
        },
        "text_cfg": _TEXT,
    },
}
UNPOOLED = ("layer3", "layer4")


def small_clip(name: str, vocabulary: Sequence[str], fine: bool = True) -> ClipEncoder:
    """An embedded CLIP with random weights.

    Args:
        vocabulary: the words its text tower knows.
        fine: the grid it is used at; False leaves the ResNet's pools in, for coarse training.

    Raises:
        ValueError: unknown name.
    """
    if name not in SMALL_CLIPS:
        raise ValueError(f"model={name!r}: expected one of {sorted(SMALL_CLIPS)}")
    settings = copy.deepcopy(SMALL_CLIPS[name])
    tokenizer = WordTokenizer(vocabulary, settings["text_cfg"]["context_length"])
    settings["text_cfg"]["vocab_size"] = tokenizer.vocab_size
    model = CLIP(**settings)
    if name.endswith("vit"):
        start_local(model.visual)
        return ClipViT(model, tokenizer, name)
    if fine:
        stop_pooling(model.visual, UNPOOLED)
    return ClipResNet(model, tokenizer, name)


@torch.no_grad()
def start_local(visual: nn.Module) -> None:
    """Mimetic initialisation (Trockman and Kolter, ICML 2023): attention that starts local.

    Positions are sines and cosines, queries and keys of a head multiply to nearly the identity, so
    that patches attend to what is near and looks alike; values and projection to nearly minus the
    identity. From random weights a ViT must find out from pictures that neighbours matter, and has
    few of them here.
    """
    width = visual.conv1.out_channels
    side = math.isqrt(len(visual.positional_embedding) - 1)
    visual.positional_embedding[0] = 0
    visual.positional_embedding[1:] = _waves(side, width)
    for block in visual.transformer.resblocks:
        attention = block.attn
        query, key, value = attention.in_proj_weight.view(3, width, width)
        rank = width // attention.num_heads
        for head in range(attention.num_heads):
            left, right = _factors(0.7, 0.7, width)
            rows = slice(head * rank, (head + 1) * rank)
            query[rows], key[rows] = left[:, :rank].T, right[:rank]
        attention.out_proj.weight[:], value[:] = _factors(0.4, -0.4, width)


def _factors(noise: float, identity: float, width: int) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is a random one plus a multiple of the identity."""
    product = noise * torch.randn(width, width) / width**0.5 + identity * torch.eye(width)
    left, strength, right = torch.linalg.svd(product)
    return left * strength.sqrt(), strength.sqrt()[:, None] * right


def _waves(side: int, width: int) -> Float[Tensor, "cells width"]:
    """A quarter of the channels each: sines and cosines of the row, and of the column."""
    frequency = 100 ** -(torch.arange(width // 4) / (width / 4))
    angles = torch.arange(side)[:, None] * frequency
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)
