"""The two embedded CLIPs: open_clip models small enough to ship, trained on Scenes-10i captions.

`scenes-clip-rn` is of LFSS's family (ModifiedResNet with attention pool). Its attention pool has a
grid of 384 / 32 = 12 cells a side; layer3 and layer4 do not pool, so that 96 pixels fill that grid
(stride 8). `scenes-clip-vit` is of PI-CLIP's and CLIP-DINOiser's family: eight blocks, patch 8.
It pools the mean of the patch tokens, which is what PI-CLIP's code reads from any CLIP. Its patches
are embedded by the first stages of a small ResNet, as in the hybrids of the ViT paper (Dosovitskiy
et al. 2021, Sec. 3.1): from pixels it was measured to learn too slowly for a laptop.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from open_clip import CLIP
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_resnet import ClipResNet, stop_pooling
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.mimetic import start_local, waves
from fsslib.encoders.tokenizer import WordTokenizer

RESNET_WIDTH = 24
_TEXT = {"context_length": 48, "width": 128, "heads": 4, "layers": 3}
SMALL_CLIPS: dict[str, dict[str, Any]] = {
    "scenes-clip-rn": {
        "embed_dim": 128,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": RESNET_WIDTH, "image_size": 384},
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
STEM = ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "conv3", "bn3", "act3", "avgpool")
STEM += ("layer1", "layer2")
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
        model.visual.conv1 = PatchStem(model.visual.conv1.out_channels)
        start_tower(model.visual)
        return ClipViT(model, tokenizer, name)
    if fine:
        stop_pooling(model.visual, UNPOOLED)
    return ClipResNet(model, tokenizer, name)


class PatchStem(nn.Module):
    """Pictures -> patches of 8 pixels: stem, layer1 and layer2 of the embedded ResNet, and a linear
    map. Rows and columns beyond the last whole patch are cut, as a convolution of stride 8 does."""

    stride = (8, 8)

    def __init__(self, out_channels: int, width: int = RESNET_WIDTH) -> None:
        super().__init__()
        tower = ModifiedResNet([1, 1, 1, 1], output_dim=1, heads=1, image_size=32, width=width)
        for name in STEM:
            setattr(self, name, getattr(tower, name))
        self.out_channels = out_channels
        self.project = nn.Conv2d(8 * width, out_channels, 1)

    def forward(self, inputs: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        rows, columns = (side - side % 8 for side in inputs.shape[-2:])
        hidden = inputs[..., :rows, :columns]
        for name in STEM:
            hidden = getattr(self, name)(hidden)
        return self.project(hidden)

    def adopt(self, tower: nn.Module) -> None:
        """Start from the same stages of a trained ResNet."""
        for name in STEM:
            getattr(self, name).load_state_dict(getattr(tower, name).state_dict())


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
