"""DINO's Vision Transformers as dense encoders (Caron et al., ICCV 2021), built by timm.

CLIP-DINOiser learns from values ("v") of the last block, FOUND from keys ("k"). Nothing is hooked:
the image goes through the blocks here, and the last one is only asked for queries, keys and values.
Weights: `scenes-dino`, timm's copies of DINO's own, or a file; never random unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import timm
import torch
from jaxtyping import Float
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from fsslib.encoders.clip import Images, resize_positions
from fsslib.encoders.mimetic import start_local, waves
from fsslib.encoders.onednn import by_onednn
from fsslib.encoders.stages import IMAGENET_MEAN, IMAGENET_STD
from fsslib.encoders.weights import (
    SHIPPED,
    SOURCES,
    WeightsError,
    load_fitting,
    read_state,
)

Facet = Literal["q", "k", "v"]
SMALL_DINO = {"img_size": 96, "patch_size": 8, "embed_dim": 128, "depth": 8, "num_heads": 4}
"""`scenes-dino`: as large as the embedded CLIP's image tower, and on the same grid."""
DINOS = ("scenes-dino", "vit_base_patch16_224", "vit_small_patch8_224")


class Dino(nn.Module):
    """A self-supervised ViT. Sides that are no multiple of the patch are cut.

    Images are uint8 RGB, or with `normalised=True` what `preprocess` gave (ImageNet's statistics).

    Args:
        centred: facets are seen from their mean over the picture. Not so in the papers; a training
            as short as that of `scenes-dino` leaves much that all cells of a picture share, and
            cosines that can hardly tell them apart (`agreement` and `as_is` on its card).
    """

    def __init__(self, model: VisionTransformer, name: str = "dino", centred: bool = False) -> None:
        super().__init__()
        self.model, self.name, self.centred = model, name, centred
        statistics = torch.tensor([IMAGENET_MEAN, IMAGENET_STD])[:, :, None, None]
        self.register_buffer("statistics", statistics, persistent=False)

    @property
    def width(self) -> int:
        return self.model.embed_dim

    @property
    def stride(self) -> int:
        """Pixels per cell."""
        return self.model.patch_embed.patch_size[0]

    @property
    def heads(self) -> int:
        return self.model.blocks[-1].attn.num_heads

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Cells (rows, columns) of an image of `size` pixels."""
        return size[0] // self.stride, size[1] // self.stride

    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB 0..255 to normalised floats."""
        if images.dtype != torch.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected uint8 RGB in 0..255, or normalised=True"
            )
        mean, std = self.statistics
        return (images.float() / 255 - mean) / std

    def embed(self, images: Images, normalised: bool = False) -> Float[Tensor, "b tokens c"]:
        """Tokens that enter the first block: class token first, then the cells row by row."""
        pictures = images if normalised else self.preprocess(images)
        cells = self.model.patch_embed.proj(pictures)
        positions = resize_positions(self.model.pos_embed[0], tuple(cells.shape[-2:]), "scaled")
        token = self.model.cls_token.expand(len(cells), -1, -1)
        return torch.cat([token, cells.flatten(2).mT], 1) + positions

    def forward(self, images: Images, normalised: bool = False) -> Float[Tensor, "b tokens c"]:
        """Normalised tokens after the last block, class token first."""
        return self.model.norm(self.model.blocks(self.embed(images, normalised)))

    def last_qkv(
        self, images: Images, normalised: bool = False
    ) -> Float[Tensor, "3 b heads tokens d"]:
        """Queries, keys and values of the last block, class token included."""
        hidden = self.model.blocks[:-1](self.embed(images, normalised))
        last = self.model.blocks[-1]
        qkv = last.attn.qkv(last.norm1(hidden)).unflatten(2, (3, self.heads, -1))
        return qkv.permute(2, 0, 3, 1, 4)

    def facet(
        self, images: Images, facet: Facet = "v", normalised: bool = False
    ) -> Float[Tensor, "b c rows columns"]:
        """One of queries, keys and values, its heads side by side, as a map of cells; not
        normalised to unit length."""
        if facet not in ("q", "k", "v"):
            raise ValueError(f"facet={facet!r}: expected 'q', 'k' or 'v'")
        chosen = self.last_qkv(images, normalised)["qkv".index(facet)]
        features = facet_map(chosen, self.grid(images.shape[-2:]))
        return features - features.mean((2, 3), keepdim=True) if self.centred else features

    def freeze(self) -> Dino:
        return by_onednn(self.requires_grad_(False).eval())


def facet_map(
    facet: Float[Tensor, "b heads tokens d"], grid: tuple[int, int]
) -> Float[Tensor, "b c rows columns"]:
    """Heads side by side, class token dropped, as a map."""
    return facet[:, :, 1:].transpose(2, 3).flatten(1, 2).unflatten(2, grid)


def class_attention(qkv: Float[Tensor, "3 b heads tokens d"]) -> Float[Tensor, "b heads n"]:
    """How much the class token looks at every cell; each head's softmax is over all tokens."""
    query, key, _ = qkv
    weights = (query[:, :, :1] @ key.mT) * query.shape[-1] ** -0.5
    return weights.softmax(-1)[:, :, 0, 1:]


@torch.no_grad()
def small_dino() -> Dino:
    """`scenes-dino` with random weights, attention starting local, facets centred."""
    model = VisionTransformer(**SMALL_DINO, num_classes=0)
    side, width = SMALL_DINO["img_size"] // SMALL_DINO["patch_size"], SMALL_DINO["embed_dim"]
    model.pos_embed[:, 0], model.pos_embed[:, 1:] = 0, waves(side, width)
    for block in model.blocks:
        start_local(block.attn.qkv.weight, block.attn.proj.weight, block.attn.num_heads)
    return Dino(model, "scenes-dino", centred=True)


def load_dino(name: str = "scenes-dino", weights: str | Path = "scenes") -> Dino:
    """A frozen DINO.

    Args:
        name: one of `DINOS`: the embedded one; ViT-B/16 (CLIP-DINOiser) or ViT-S/8 (FOUND).
        weights: "scenes" for the embedded one, "dino" for timm's copies of DINO's (Apache-2.0), a
            local file, or "random", by name.

    Raises:
        ValueError: unknown name. WeightsError: the weights cannot be had or do not fit.
    """
    if name not in DINOS:
        raise ValueError(f"DINO {name!r} is unknown: expected one of {list(DINOS)}")
    if name == "scenes-dino":
        encoder = small_dino()
    else:
        encoder = Dino(_timm(name, str(weights) == "dino"), f"{name}/{weights}")
    if str(weights) not in ("dino", "random"):
        shipped = str(weights) == "scenes" and name == "scenes-dino"
        path = SHIPPED / SOURCES[name, "scenes"].origin if shipped else Path(weights)
        load_fitting(encoder.model, read_state(path), str(path))
    elif name == "scenes-dino" and str(weights) == "dino":
        raise WeightsError("weights='dino' for scenes-dino: it has 'scenes', 'random' or a file")
    return encoder.freeze()


def _timm(name: str, pretrained: bool) -> VisionTransformer:
    tag = f"{name}.dino"
    try:
        return timm.create_model(tag, pretrained=pretrained, num_classes=0)
    except Exception as error:  # huggingface_hub and requests raise their own kinds
        raise WeightsError(
            f"{tag} could not be had from timm's hub ({error}). No network: download DINO's "
            "checkpoint elsewhere and pass its path as weights=, or use 'scenes-dino'"
        ) from error
