"""Talk2DINO: a map from CLIP's text space into DINOv2's, and what is made of it.

Barsellotti et al., ICCV 2025:

    t = mean over templates of CLIP's text embeddings as they are,   W2 tanh(W1 t + b1) + b2,   U[.]

A cell's cosine with that goes through a sigmoid without temperature, so that it lies in 0.27..0.73;
background is a constant beside the classes. The weights that its authors publish carry no licence:
nothing is shipped or downloaded, a local file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fsslib.encoders.weights import WeightsError, load_fitting, read_state
from fsslib.fp32 import in_fp32

Activation = Literal["tanh", "relu", "sigmoid", "none"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "none": lambda hidden: hidden,
}
GET_IT = (
    "Talk2DINO's map has no licence, so that none is shipped or downloaded; get "
    "weights/vitb_mlp_infonce.pth from its authors' repository (lorebianchi98/Talk2DINO) and give "
    "its path"
)
HEAD_SCALE = 0.125
"""1/sqrt(64), which the released code has for heads of any size."""
BACKGROUND = 0.55
"""The constant of VOC21, COCO-Object and Context60 with ViT-B (ViT-L: 0.54)."""
CLEANING = 0.2
"""lambda: how much of the attention is added."""


class TextToDino(nn.Module):
    """Linear layers with an activation between them.

    Args:
        sides: channels of CLIP's text, then of every layer's output; published: 512, 768, 768.
    """

    def __init__(self, sides: tuple[int, ...], activation: Activation = "tanh") -> None:
        super().__init__()
        self.activation, self.sides = activation, sides
        self.linear_layer = nn.Linear(sides[0], sides[1])
        self.hidden_layers = nn.ModuleList(
            nn.Linear(into, out) for into, out in pairwise(sides[1:])
        )

    @in_fp32
    def forward(self, text: Float[Tensor, "classes templates d"]) -> Float[Tensor, "classes c"]:
        """Unit vectors in DINO's space.

        Args:
            text: CLIP's embeddings of prompts, not of unit length.
        """
        hidden = self.linear_layer(text.mean(1))
        for layer in self.hidden_layers:
            hidden = layer(ACTIVATIONS[self.activation](hidden))
        return F.normalize(hidden, dim=-1)


def load_text_map(path: Path | str, activation: Activation = "tanh") -> TextToDino:
    """A published map (`vitb_mlp_infonce.pth` and its like, 3.9 MB), from a local file.

    Raises:
        WeightsError: there is no such file, or it is not such a map.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. {GET_IT}")
    state = read_state(path)
    layers = ["linear_layer", *sorted(k for k in state if re.fullmatch(r"hidden.*\.weight", k))]
    weights = [state.get(f"{name.removesuffix('.weight')}.weight") for name in layers]
    if weights[0] is None or any(each.ndim != 2 for each in weights):
        raise WeightsError(
            f"{path} has no linear_layer.weight (out, in); it has {sorted(state)[:5]}. Expected "
            "Talk2DINO's ProjectionLayer"
        )
    sides = (weights[0].shape[1], *(each.shape[0] for each in weights))
    network = TextToDino(sides, activation)
    load_fitting(network, state, str(path))
    return network.requires_grad_(False).eval()


@in_fp32
def similarity(
    features: Float[Tensor, "b c h w"], text: Float[Tensor, "classes c"]
) -> Float[Tensor, "b classes h w"]:
    """Cosine of cells, DINO's tokens after its norm, with unit text vectors."""
    return torch.einsum("bchw,nc->bnhw", F.normalize(features, dim=1), text)


def class_attention_logits(
    qkv: Float[Tensor, "3 b heads tokens d"], prefix: int, scale: float = HEAD_SCALE
) -> Float[Tensor, "b heads n"]:
    """How much the class token, which is the first, looks at every cell, before the softmax.

    Args:
        prefix: tokens before the cells: the class token and registers.
    """
    query, key = qkv[0, :, :, :1], qkv[1, :, :, prefix:]
    return (scale * query @ key.mT)[:, :, 0]


@in_fp32
def clean_background(
    maps: Float[Tensor, "b classes h w"],
    features: Float[Tensor, "b c h w"],
    attention: Float[Tensor, "b heads n"],
    text: Float[Tensor, "classes c"],
    weight: float = CLEANING,
) -> Float[Tensor, "b classes h w"]:
    """Maps with a share of what the heads look at that a class resembles.

    Every head has an embedding, the mean of cells weighted by its logits; a class mixes the heads'
    logits by its similarity with those. Minimum and maximum are over all classes of a picture (the
    released code takes one picture at a time).

    Args:
        maps: after the sigmoid.
        attention: `class_attention_logits`.
    """
    cells = features.flatten(2)
    heads = F.normalize(torch.einsum("bmn,bcn->bmc", attention, cells) / cells.shape[2], dim=-1)
    shares = torch.einsum("nc,bmc->bnm", text, heads).softmax(-1)
    looked = (shares @ attention).softmax(-1)  # (b, classes, cells)
    low, high = (looked.amin((1, 2), keepdim=True), looked.amax((1, 2), keepdim=True))
    looked = (looked - low) / torch.maximum(high, high - low)
    least, most = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    looked = looked.view_as(maps) * (most - least) + least
    return (maps + weight * looked) / (1 + weight)


def with_background(
    maps: Float[Tensor, "b classes h w"], size: tuple[int, int], background: float = BACKGROUND
) -> Float[Tensor, "b all rows columns"]:
    """Maps at `size` (bilinear, corners aligned), the constant background in front."""
    maps = F.interpolate(maps, size, mode="bilinear", align_corners=True)
    return torch.cat([torch.full_like(maps[:, :1], background), maps], 1)


def classes(maps: Float[Tensor, "b all h w"]) -> UInt8[Tensor, "b h w"]:
    """The largest map at every pixel, 0 being the background."""
    return maps.argmax(1).to(torch.uint8)
