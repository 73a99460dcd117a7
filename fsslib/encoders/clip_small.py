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
from open_clip import CLIP
from torch import nn

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_resnet import ClipResNet, stop_pooling
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.mimetic import start_local, waves
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
        start_tower(model.visual)
        return ClipViT(model, tokenizer, name)
    if fine:
        stop_pooling(model.visual, UNPOOLED)
    return ClipResNet(model, tokenizer, name)


@torch.no_grad()
def start_tower(visual: nn.Module) -> None:
    """Mimetic initialisation of an open_clip ViT."""
    width = visual.conv1.out_channels
    side = math.isqrt(len(visual.positional_embedding) - 1)
    visual.positional_embedding[0] = 0
    visual.positional_embedding[1:] = waves(side, width)
    for block in visual.transformer.resblocks:
        attention = block.attn
        start_local(attention.in_proj_weight, attention.out_proj.weight, attention.num_heads)
