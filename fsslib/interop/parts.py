"""Which encoders a state dict holds, as its shapes tell, and how to build them.

Networks are built on the meta device to be compared: without memory, and without drawing numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import open_clip
import torch
from jaxtyping import Int64
from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck

from fsslib.encoders import BACKBONES
from fsslib.encoders.clip_loading import wrap
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.resnet import ResNet
from fsslib.encoders.stages import StageBackbone
from fsslib.methods.shapes import OfficialNames, Shape, Shapes

STEMS = {"plain": "7x7 convolution", "deep": "three 3x3 convolutions"}
COUNTERS = "num_batches_tracked"
"""BatchNorm's; files from before PyTorch 0.4.1 have none, and nothing here reads them."""


@dataclass(frozen=True)
class Encoder:
    """One encoder that a state dict holds."""

    name: str
    """As `build_backbone` or `load_clip` knows it; empty for one that they do not."""
    words: str
    """What can be seen of it: "resnet50-v2 (stem of three 3x3 convolutions)"."""
    make: Callable[..., Any] = field(compare=False, repr=False)
    """Builds one with random weights; backbones take `dilated`."""


def shapes_of(network: torch.nn.Module) -> dict[str, Shape]:
    """The shapes of its state dict, without counters."""
    state = network.state_dict().items()
    return {key: tuple(value.shape) for key, value in state if not key.endswith(COUNTERS)}


@cache
def meta_backbone(name: str, dilated: bool = True) -> StageBackbone:
    """A backbone by name, on the meta device."""
    with torch.device("meta"):
        return _named(name, dilated)


def _named(name: str, dilated: bool) -> StageBackbone:
    options = {} if name.startswith("vgg") else {"dilated": dilated}
    return BACKBONES[name](**options).freeze()


def backbone_below(
    prefix: str, shapes_on: Callable[[StageBackbone], Shapes]
) -> tuple[Encoder, OfficialNames] | None:
    """The backbone whose tensors lie below `prefix`, and how the file spells keys; None if there is
    no whole one.

    Args:
        shapes_on: the file's shapes as they are spelled with such a backbone.
    """
    sizes = {
        name: len(shapes_of(meta_backbone(name)))
        for name in BACKBONES
        if _holds(shapes_on(meta_backbone(name)), prefix, meta_backbone(name))
    }
    if sizes:
        name = max(sizes, key=sizes.get)  # a ResNet-101 holds all keys of a ResNet-50
        stem = _stem(meta_backbone(name))
        encoder = Encoder(name, f"{name}{stem}", lambda dilated: _named(name, dilated))
        return encoder, shapes_on(meta_backbone(name)).names
    shapes = shapes_on(meta_backbone("resnet50"))
    other = _unnamed_resnet(prefix, shapes)
    return other and (other, shapes.names)


def _holds(shapes: Shapes, prefix: str, network: StageBackbone) -> bool:
    return all(shapes.get(prefix + key) == shape for key, shape in shapes_of(network).items())


def _stem(network: StageBackbone) -> str:
    if not isinstance(network, ResNet):
        return ""
    kind = "deep" if network.stem[0].kernel_size == (3, 3) else "plain"
    return f" ({kind} stem: {STEMS[kind]})"


def _unnamed_resnet(prefix: str, shapes: Shapes) -> Encoder | None:
    """A ResNet of any width and depth."""
    stages = [f"{prefix}layer{number}" for number in (1, 2, 3, 4)]
    layers = tuple(shapes.count(stage + ".{}.conv1.weight") for stage in stages)
    stem = shapes.get(f"{prefix}stem.0.weight")
    width = shapes.axis(f"{stages[0]}.0.conv1.weight", 0)
    if not all(layers) or stem is None or len(stem) != 4 or width is None:
        return None
    block = Bottleneck if f"{stages[0]}.0.conv3.weight" in shapes else BasicBlock
    kind = "deep" if stem[2] == 3 else "plain"

    def make(dilated: bool) -> ResNet:
        return ResNet(block, layers, width, kind, dilated).freeze()

    with torch.device("meta"):
        network = make(True)
    if not _holds(shapes, prefix, network):
        return None
    words = f"a ResNet of {layers} {block.__name__}s, width {width}{_stem(network)}"
    return Encoder("", words, make)


def clip_below(prefix: str, shapes: Shapes) -> Encoder | None:
    """The CLIP with a plain ViT whose tensors lie below `prefix`, known by its sizes. Which
    activation it was trained with does not show; OpenAI's is QuickGELU, which is taken here."""
    patch = shapes.get(f"{prefix}visual.conv1.weight")
    tokens, words = (
        shapes.get(prefix + name) for name in ("token_embedding.weight", "text_projection")
    )
    places = shapes.axis(f"{prefix}visual.positional_embedding", 0)
    if patch is None or len(patch) != 4 or not tokens or not words or not places:
        return None
    side = math.isqrt(places - 1)
    vision = {
        "layers": shapes.count(prefix + "visual.transformer.resblocks.{}.ln_1.weight"),
        "width": patch[0],
        "patch_size": patch[2],
        "image_size": side * patch[2],
    }
    text = {
        "context_length": shapes.axis(f"{prefix}positional_embedding", 0),
        "vocab_size": tokens[0],
        "width": tokens[1],
        "layers": shapes.count(prefix + "transformer.resblocks.{}.ln_1.weight"),
    }
    name = _clip_name(words[1], vision, text)
    about = f"{vision['layers']} blocks of width {vision['width']}, patches of {patch[2]} px"
    return Encoder(name, name or f"a CLIP ViT of {about}", lambda: _clip(words[1], vision, text))


def resnet_clip_below(prefix: str, shapes: Shapes) -> Encoder | None:
    """The CLIP whose image tower, a ModifiedResNet, lies below `prefix`."""
    pool = shapes.get(f"{prefix}attnpool.c_proj.weight")
    last = shapes.get(f"{prefix}conv3.weight")
    if pool is None or last is None:
        return None
    layers = [shapes.count(f"{prefix}layer{n}.{{}}.conv1.weight") for n in (1, 2, 3, 4)]
    vision = {"layers": layers, "width": last[0]}
    name = _clip_name(pool[0], vision, {})
    return Encoder(name, name or f"a CLIP ResNet of {layers} blocks", lambda: None)


def usual_clip() -> ClipViT:
    """OpenAI's ViT-B/16, for comparing only: the one that PI-CLIP is published with."""
    vision = {"layers": 12, "width": 768, "patch_size": 16, "image_size": 224}
    text = {"context_length": 77, "vocab_size": 49408, "width": 512, "layers": 12}
    return _clip(512, vision, text)


def _clip_name(embedding: int, vision: dict[str, int], text: dict[str, int]) -> str:
    """The architecture of open_clip with these sizes; the one with QuickGELU where there is one."""
    fitting = [
        name
        for name in open_clip.list_models()
        if _has_sizes(open_clip.get_model_config(name), embedding, vision, text)
    ]
    return next((name for name in sorted(fitting) if name.endswith("-quickgelu")), "") or next(
        iter(sorted(fitting)), ""
    )


def _has_sizes(
    config: dict[str, Any], embedding: int, vision: dict[str, int], text: dict[str, int]
) -> bool:
    return config.get("embed_dim") == embedding and all(
        config.get(f"{tower}_cfg", {}).get(key) == value
        for tower, sizes in (("vision", vision), ("text", text))
        for key, value in sizes.items()
    )


def _clip(embedding: int, vision: dict[str, int], text: dict[str, int]) -> ClipViT:
    """For comparing only: how many heads it has does not show, and there is no tokenizer."""
    heads = {"head_width": math.gcd(vision["width"], 64)}
    model = open_clip.CLIP(embedding, vision | heads, text | {"heads": 1}, quick_gelu=True)
    return wrap(model, _no_tokenizer, "clip")


def _no_tokenizer(texts: Sequence[str]) -> Int64[Tensor, "texts length"]:
    raise ValueError("a CLIP that is only compared reads no texts")
