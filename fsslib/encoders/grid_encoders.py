"""Encoders of cells by name: the package's own networks, and timm's ViTs.

`build_grid_encoder("scenes-clip-vit")`, `("scenes-dino", facet="v")`, `("scenes-resnet")`,
`("timm/vit_small_patch14_dinov2", "timm")`.
"""

from __future__ import annotations

from pathlib import Path

import open_clip
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fsslib.encoders.backbones import BACKBONES, build_backbone, is_backbone
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.dino import DINOS, Dino, load_dino
from fsslib.encoders.grid import Grid, GridEncoder, Images
from fsslib.encoders.stages import StageBackbone
from fsslib.settings import GridFacet


class ClipGrid(GridEncoder):
    """A CLIP: `dense` features of its last block, or of a ViT the residual stream (`tokens`) of any
    block, after its last norm if asked."""

    def __init__(self, clip: ClipEncoder, facet: GridFacet = "dense", block: int = -1) -> None:
        super().__init__(clip.name)
        vit = isinstance(clip, ClipViT)
        _require_facet(clip.name, facet, ("dense", "tokens") if vit else ("dense",))
        _require_block(clip.name, block, len(clip.blocks) if facet == "tokens" else 0)
        self.clip, self.facet, self.block = clip, facet, block
        self.channels = clip.dim if facet == "dense" else clip.width
        self.stride = clip.stride

    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        return self.clip.preprocess(images)

    def read(self, inputs: Float[Tensor, "b 3 h w"], norm: bool) -> Grid:
        if self.facet == "dense":
            return self.clip.dense(inputs, normalised=True)
        (tokens,) = self.clip.tokens(inputs, [self.block], normalised=True)
        cells = self.clip.visual.ln_post(tokens[:, 1:]) if norm else tokens[:, 1:]
        return as_grid(cells, self.clip.grid(inputs.shape[-2:]))


class DinoGrid(GridEncoder):
    """A DINO: `tokens` of any block, or a facet of the last one."""

    def __init__(self, dino: Dino, facet: GridFacet = "tokens", block: int = -1) -> None:
        super().__init__(dino.name)
        _require_facet(dino.name, facet, ("tokens", "q", "k", "v"))
        count = len(dino.model.blocks)
        _require_block(dino.name, block, count if facet == "tokens" else 0)
        self.dino, self.facet, self.block = dino, facet, block % count
        self.channels, self.stride = dino.width, dino.stride

    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        return self.dino.preprocess(images)

    def read(self, inputs: Float[Tensor, "b 3 h w"], norm: bool) -> Grid:
        if self.facet != "tokens":
            return self.dino.facet(inputs, self.facet, normalised=True)
        model = self.dino.model
        hidden = model.blocks[: self.block + 1](self.dino.embed(inputs, normalised=True))
        cells = (model.norm(hidden) if norm else hidden)[:, 1:]
        return as_grid(cells, self.dino.grid(inputs.shape[-2:]))


class StageGrid(GridEncoder):
    """A CNN: layer3 and layer2 side by side, on the grid of stride 8. It has no such norm."""

    def __init__(self, backbone: StageBackbone, name: str) -> None:
        super().__init__(name)
        self.backbone, self.stride = backbone, 8
        self.channels = backbone.channels[0] + backbone.channels[1]

    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        return self.backbone.preprocess(images)

    def read(self, inputs: Float[Tensor, "b 3 h w"], norm: bool) -> Grid:
        return self.backbone.fine_inputs(inputs)


def as_grid(cells: Float[Tensor, "b n c"], grid: tuple[int, int]) -> Grid:
    """Cells row by row as a map."""
    return rearrange(cells, "b (h w) c -> b c h w", h=grid[0], w=grid[1])


def build_grid_encoder(
    name: str = "scenes-clip-vit",
    weights: str | Path = "scenes",
    facet: GridFacet | None = None,
    block: int = -1,
    norm: bool | None = None,
    attention: str | None = None,
) -> GridEncoder:
    """A frozen encoder of cells.

    Args:
        name: an embedded network ("scenes-clip-vit", "scenes-clip-rn", "scenes-dino",
            "scenes-resnet"), any other of `load_clip`, `load_dino` and `build_backbone`, or a ViT
            of timm ("timm/vit_small_patch14_dinov2").
        weights: as these functions take them.
        facet: None: `dense` of a CLIP, `tokens` of a ViT, layers 2 and 3 of a CNN.
        block: whose `tokens` are read.
        norm: whether tokens are read after the final norm; None: as the method wants them.
        attention: of a CLIP's last block, see `load_clip`.

    Raises:
        ValueError: an unknown name, a facet or a block that the network has not.
        WeightsError: the weights cannot be had or do not fit.
    """
    encoder = _build(name, weights, facet, block, attention)
    encoder.norm = norm
    return encoder.freeze()


def is_grid_encoder(name: str) -> bool:
    """Whether `build_grid_encoder` knows the name."""
    clip = name in SMALL_CLIPS or name in open_clip.list_models()
    return clip or name in DINOS or _is_vit(name) or is_backbone(name)


def usual_weights(name: str) -> str:
    """The tag of a network's weights where none is given: the embedded ones, or those that its kind
    is known by."""
    if name.startswith("scenes"):
        return "scenes"
    if name.startswith("timm/"):
        return "timm"
    if name in DINOS:
        return "dino"
    return "openai" if name in open_clip.list_models() else "imagenet"


def _is_vit(name: str) -> bool:
    if not name.startswith("timm/"):
        return False
    from fsslib.encoders.timm_vit import is_timm_vit  # a second, which others need not wait

    return is_timm_vit(name)


def _build(
    name: str, weights: str | Path, facet: GridFacet | None, block: int, attention: str | None
) -> GridEncoder:
    if name in SMALL_CLIPS or name in open_clip.list_models():
        clip = load_clip(name, weights, attention=attention)
        return ClipGrid(clip, facet or "dense", block)
    if attention is not None:
        raise ValueError(f"attention={attention!r}: {name} is no CLIP; leave it out")
    if name in DINOS:
        return DinoGrid(load_dino(name, weights), facet or "tokens", block)
    if _is_vit(name):
        from fsslib.encoders.timm_vit import build_timm_vit

        _require_facet(name, facet or "tokens", ("tokens",))
        return build_timm_vit(name, weights, block)
    if not is_backbone(name):
        raise ValueError(
            f"encoder={name!r}: expected one of {sorted({*SMALL_CLIPS, *DINOS, *BACKBONES})}, a "
            "CLIP of open_clip, or 'timm/' and a ViT or CNN of timm"
        )
    if facet is not None or block != -1:
        raise ValueError(
            f"{name} is a CNN, whose layers 2 and 3 are read; leave facet and block out"
        )
    return StageGrid(build_backbone(name, weights), name)


def _require_facet(name: str, facet: str, known: tuple[str, ...]) -> None:
    if facet not in known:
        raise ValueError(f"facet={facet!r}: {name} has {list(known)}")


def _require_block(name: str, block: int, count: int) -> None:
    """ValueError for a block that is not among `count`; of 0 there is the last one alone."""
    if not count and block != -1:
        raise ValueError(f"block={block}: only tokens are read of any block; give facet='tokens'")
    if count and not -count <= block < count:
        raise ValueError(f"block={block}: {name} has blocks 0 to {count - 1} (or -{count} to -1)")
