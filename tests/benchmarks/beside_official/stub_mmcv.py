"""Of mmcv and mmseg what HDMNet's decoder and CLIP-DINOiser's model are built of, under the names
that parameters have there, and OmegaConf as plain YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
import yaml
from torch import Tensor, nn


class OmegaConf:
    """YAML as plain dictionaries."""

    @staticmethod
    def load(path: str) -> dict[str, Any]:
        return yaml.safe_load(Path(path).read_text())

    @staticmethod
    def to_container(content: dict[str, Any], resolve: bool) -> dict[str, Any]:
        return content


class _Base(nn.Module):
    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__()
        self.init_cfg = init_cfg


class _Attention(_Base):
    """What EfficientMultiheadAttention adds its own attention to."""

    def __init__(self, embed_dims: int, num_heads: int, *drops: float, **_: Any) -> None:
        super().__init__()
        self.proj_drop = nn.Dropout(drops[1] if len(drops) > 1 else 0.0)
        self.dropout_layer = nn.Identity()


class _ConvNormRelu(_Base):
    def __init__(self, inputs: int, outputs: int, norm_cfg: Any = None, **settings: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=norm_cfg is None, **settings)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.bn(self.conv(images)).relu()


class _PatchEmbed(_Base):
    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        kernel_size: int,
        stride: int,
        padding: int,
        norm_cfg: Any,
    ) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, embed_dims, kernel_size, stride, padding)
        self.norm = nn.LayerNorm(embed_dims, norm_cfg["eps"])

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        cells = self.projection(images)
        return self.norm(_to_rows(cells)), tuple(cells.shape[-2:])


def _to_rows(images: Tensor) -> Tensor:
    return images.flatten(2).mT.contiguous()


def _to_images(rows: Tensor, size: tuple[int, int]) -> Tensor:
    return rows.mT.reshape(len(rows), -1, *size).contiguous()


def _norm(settings: dict[str, Any], channels: int) -> tuple[str, nn.Module]:
    return "ln", nn.LayerNorm(channels, settings.get("eps", 1e-5))


def _grid(
    images: Tensor | None = None,
    size: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **inputs: Any,
) -> Tensor:
    source = inputs.get("input", images)
    return F.interpolate(source, size, mode=mode, align_corners=align_corners)


class _Registry:
    """Classes by name, and `build` from `{"type": name, …}`."""

    def __init__(self, _: str) -> None:
        self.classes: dict[str, type] = {}

    def register_module(self) -> Any:
        return lambda cls: self.classes.setdefault(cls.__name__, cls)

    def build(self, settings: dict[str, Any], default_args: dict[str, Any]) -> Any:
        rest = {k: v for k, v in settings.items() if k != "type"}
        return self.classes[settings["type"]](**rest, **default_args)


_BLOCKS = {
    "Conv2d": nn.Conv2d,
    "build_activation_layer": lambda _: nn.GELU(),
    "build_norm_layer": _norm,
    "ConvModule": _ConvNormRelu,
}
_BASES = {"BaseModule": _Base, "ModuleList": nn.ModuleList, "Sequential": nn.Sequential}
_SHAPES = {"PatchEmbed": _PatchEmbed, "nchw_to_nlc": _to_rows, "nlc_to_nchw": _to_images}
CONTENTS: dict[str, dict[str, Any]] = {
    "mmcv": {},
    "mmcv.cnn": _BLOCKS,
    "mmcv.cnn.bricks": {},
    "mmcv.cnn.bricks.drop": {"build_dropout": lambda _: nn.Identity()},
    "mmcv.cnn.bricks.transformer": {"MultiheadAttention": _Attention},
    "mmcv.cnn.utils": {},
    "mmcv.cnn.utils.weight_init": {},
    "mmcv.runner": _BASES,
    "mmcv.runner.base_module": _BASES,
    "mmcv.utils": {"Registry": _Registry},
    "mmseg": {},
    "mmseg.models": {},
    "mmseg.models.utils": _SHAPES,
    "mmseg.ops": {"resize": _grid},
}
"""By the module that has it."""
