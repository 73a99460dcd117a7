"""Any plain or RoPE ViT of timm as an encoder of cells: DINOv2, DINOv3, CLIP's, MAE's, SAM's.

`build_timm_vit("timm/vit_small_patch14_dinov2", "timm")`. All goes through timm's
`forward_intermediates`, which drops class and register tokens by the model's own count: dropping
the class token alone would shift the grid of a model with registers by four cells, without an
error. Positions of a VisionTransformer are resized as timm does (bicubic with antialias, unlike the
original DINOv2; equal at the native size), RoPE models take any multiple of their patch.

SAM's tokens have no prefix; after its "norm" they have gone through its neck (256 channels), which
is what PerSAM compares.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn

from fsslib.encoders.grid import Grid, GridEncoder, Images, require_pictures
from fsslib.encoders.licences import CONDITIONS, LicenceWarning, timm_licence
from fsslib.encoders.timm_stages import PREFIX, is_timm, pretrained_tags
from fsslib.encoders.weights import WeightsError, load_fitting, read_state

VITS = (VisionTransformer, Eva, VisionTransformerSAM)


class TimmViT(GridEncoder):
    """A ViT of timm without its head.

    Args:
        model: as `timm.create_model(…, num_classes=0)` gives it.
        block: whose tokens are read, from the first or (negative) from the last.

    Raises:
        ValueError: no such ViT, or no such block.
    """

    whole_cells = True

    def __init__(self, model: nn.Module, name: str, block: int = -1) -> None:
        super().__init__(name)
        if not isinstance(model, VITS):
            raise ValueError(
                f"{name} is a {type(model).__name__}; expected a plain or RoPE ViT "
                f"({', '.join(kind.__name__ for kind in VITS)}), such as "
                f"{PREFIX}vit_small_patch14_dinov2"
            )
        count = len(model.blocks)
        if not -count <= block < count:
            raise ValueError(
                f"block={block}: {name} has blocks 0 to {count - 1} (or -{count} to -1)"
            )
        self.model, self.block = model, block % count
        sides = set(model.patch_embed.patch_size)
        if len(sides) > 1:
            raise ValueError(
                f"{name} has patches of {model.patch_embed.patch_size}; expected squares"
            )
        (self.stride,) = sides
        self.channels = model.embed_dim
        source = model.pretrained_cfg
        statistics = torch.tensor([source["mean"], source["std"]])[:, :, None, None]
        self.register_buffer("statistics", statistics, persistent=False)

    @property
    def prefix_tokens(self) -> int:
        """Class and register tokens before the cells: 1 for DINOv2, 5 with registers and for
        DINOv3, 0 for SAM."""
        return getattr(self.model, "num_prefix_tokens", 0)

    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB to normalised floats, by the statistics of timm's configuration: ImageNet's for
        DINOs and MAE, CLIP's for CLIPs."""
        require_pictures(images)
        mean, std = self.statistics
        return (images.float() / 255 - mean) / std

    def read(self, inputs: Float[Tensor, "b 3 h w"], norm: bool) -> Grid:
        self._require_fitting(inputs)
        self._require_norm(norm)
        options = {"stop_early": True, "intermediates_only": True}
        return self.model.forward_intermediates(inputs, indices=[self.block], norm=norm, **options)[
            0
        ]

    def tokens(
        self, inputs: Float[Tensor, "b 3 h w"], norm: bool = True
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b prefix c"]]:
        """Cells row by row, and the class and register tokens, which are counted by the model.

        Raises:
            ValueError: SAM's encoder has no such tokens.
        """
        if not self.prefix_tokens:
            raise ValueError(f"{self.name} has no class or register tokens; use read()")
        self._require_fitting(inputs)
        self._require_norm(norm)
        options = {"stop_early": True, "intermediates_only": True, "return_prefix_tokens": True}
        return self.model.forward_intermediates(
            inputs, indices=[self.block], norm=norm, output_fmt="NLC", **options
        )[0]

    def qkv(self, inputs: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "3 b heads n d"]:
        """Queries, keys and values of the block that is read; class and register tokens first.

        Raises:
            ValueError: a RoPE ViT or SAM's, whose attention is made of more than these, or the
                first block.
        """
        if not isinstance(self.model, VisionTransformer) or self.block == 0:
            raise ValueError(
                f"block {self.block} of {self.name}: queries, keys and values are read of plain "
                "ViTs, from their second block on"
            )
        self._require_fitting(inputs)
        options = {"stop_early": True, "intermediates_only": True, "return_prefix_tokens": True}
        cells, prefix = self.model.forward_intermediates(
            inputs, indices=[self.block - 1], norm=False, output_fmt="NLC", **options
        )[0]
        block = self.model.blocks[self.block]
        flat = block.attn.qkv(block.norm1(torch.cat([prefix, cells], 1)))
        query, key, value = flat.unflatten(2, (3, block.attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return torch.stack([block.attn.q_norm(query), block.attn.k_norm(key), value])

    def _require_fitting(self, inputs: Tensor) -> None:
        rows, columns = inputs.shape[-2:]
        if rows % self.stride or columns % self.stride:
            raise ValueError(
                f"a picture of {rows} x {columns} pixels for {self.name}: expected multiples of "
                f"its patch of {self.stride}; fit() makes them"
            )

    def _require_norm(self, norm: bool) -> None:
        if norm and isinstance(getattr(self.model, "norm", None), nn.Identity):
            raise ValueError(
                f"{self.name} has no norm of its tokens (only of their mean); read them with "
                "norm=False"
            )


def is_timm_vit(name: str) -> bool:
    """Whether `name` is "timm/" and an architecture of timm that is a ViT by its entry point."""
    if not is_timm(name):
        return False
    model = name.removeprefix(PREFIX).partition(".")[0]
    return timm.models.model_entrypoint(model).__module__ in {kind.__module__ for kind in VITS}


def build_timm_vit(name: str, weights: str | Path = "timm", block: int = -1) -> TimmViT:
    """A frozen ViT of timm.

    Args:
        name: "timm/" and an architecture, with a tag or without.
        weights: "timm" (the name's tag, or the usual one), a tag, a local file with timm's names,
            or "random". A download whose licence has conditions is announced by a
            `LicenceWarning` before it begins.

    Raises:
        ValueError: see `TimmViT`. WeightsError: the weights cannot be had or do not fit.
    """
    if not is_timm(name):
        raise ValueError(
            f"{name!r}: expected 'timm/' and an architecture of timm, with a tag or none"
        )
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    tags, source = pretrained_tags(model), str(weights)
    tag = source if source in tags else tag
    local = Path(weights).is_file()
    if not local and source != "random" and not (tags and source in ("timm", *tags)):
        raise WeightsError(
            f"weights={source!r} for {name}: neither a file nor a known tag "
            f"{[*(['timm'] if tags else []), *tags, 'random']}; give one of these or the path of a "
            "file"
        )
    download = not local and source != "random"
    network = _create(f"{model}.{tag}" if tag else model, download)
    encoder = TimmViT(network, name, block)
    if local:
        state = read_state(Path(weights))
        headless = {key: value for key, value in state.items() if not key.startswith("head.")}
        load_fitting(network, headless, source)
    return encoder.freeze()


def _create(name: str, pretrained: bool) -> nn.Module:
    options = {"num_classes": 0}
    kind = timm.models.model_entrypoint(name.partition(".")[0]).__module__
    if kind == VisionTransformer.__module__:
        options["dynamic_img_size"] = True  # else it takes its native size alone
    if not pretrained:
        return timm.create_model(name, **options)
    licence = timm_licence(name)
    if licence in CONDITIONS.values():
        warnings.warn(f"{name}: {licence}", LicenceWarning, stacklevel=3)
    try:
        return timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # huggingface_hub, urllib and requests raise their own kinds
        raise WeightsError(
            f"{name} (licence: {licence}) could not be had from timm's hub ({error}). No network: "
            "download its file elsewhere and pass the path as weights=, use an embedded encoder "
            "such as 'scenes-clip-vit', or ask for weights='random' by name"
        ) from error
