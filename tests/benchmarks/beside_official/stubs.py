"""Stand-ins for what released code imports and is not installed here.

Of mmcv and mmseg only what HDMNet's decoder and CLIP-DINOiser's model are built of, under the names
of its parameters there; of OpenCV what masks, boxes and maps of PI-CLIP and ASGNet need. Everything
else that is missing may be imported, and is nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import packaging.version
import torch.nn.functional as F
import yaml
from PIL import Image
from skimage.measure import label, regionprops
from torch import Tensor, nn

UNUSED = ("seaborn", "pandas", "networkx", "sklearn", "tensorboardX", "ttach", "lxml")


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """All stand-ins in their places, as far as the real ones are missing."""
    named: dict[str, Any] = {name: None for name in UNUSED if not _there(name)}
    made = {name: _Anything(name) for name in named}
    if not _there("cv2"):
        made["cv2"] = _module("cv2", **_OPENCV)
    if not _there("pkg_resources"):
        made["pkg_resources"] = _module("pkg_resources", packaging=packaging)
    if not _there("omegaconf"):
        made["omegaconf"] = _module("omegaconf", OmegaConf=_OmegaConf)
    if not _there("mmcv"):
        made |= _mmcv()
    before = {name: sys.modules.get(name) for name in made}
    finder = _Below(tuple(made))
    sys.modules.update(made)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.split(".")[0] in made or n in made]:
            sys.modules.pop(name)
        sys.modules.update({name: module for name, module in before.items() if module})


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


class _Anything(ModuleType):
    """A module that has every name."""

    __path__: tuple = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _Below:
    """Finds `seaborn.distributions` below a stand-in."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] in self.roots and name not in sys.modules:
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        return _Anything(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


def _module(name: str, **contents: Any) -> ModuleType:
    module = _Anything(name)
    vars(module).update(contents)
    return module


def _resize(image: np.ndarray, dsize: tuple[int, int], interpolation: int = 1) -> np.ndarray:
    """Nearest (0) takes the cell at the floor of its place; linear (1) aligns pixels' areas."""
    if interpolation == 0:
        rows = np.arange(dsize[1]) * image.shape[0] // dsize[1]
        columns = np.arange(dsize[0]) * image.shape[1] // dsize[0]
        return image[rows][:, columns]
    picture = Image.fromarray(np.asarray(image, np.float32))
    # Pillow averages where it shrinks; these maps only grow.
    return np.asarray(picture.resize(dsize, Image.Resampling.BILINEAR))


def _threshold(src: np.ndarray, thresh: int, maxval: int, type: int) -> tuple[int, np.ndarray]:
    return thresh, np.where(src > thresh, maxval, 0).astype(np.uint8)


def _contours(image: np.ndarray, mode: int, method: int) -> tuple[list[Any], None]:
    """Pieces in the place of their contours; holes, whose boxes lie inside, are left out."""
    return regionprops(label(image[..., 0] > 0, connectivity=2)), None


def _box(piece: Any) -> tuple[int, int, int, int]:
    top, left, bottom, right = piece.bbox
    return left, top, right - left, bottom - top


def _read(path: str, _: int) -> np.ndarray:
    return np.asarray(Image.open(path))


_OPENCV = {
    "__version__": "4.0",
    **dict.fromkeys(("INTER_NEAREST", "THRESH_BINARY", "RETR_TREE", "IMREAD_GRAYSCALE"), 0),
    "INTER_LINEAR": 1,
    "resize": _resize,
    "threshold": _threshold,
    "findContours": _contours,
    "boundingRect": _box,
    "imread": _read,
}


class _OmegaConf:
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


def _mmcv() -> dict[str, ModuleType]:
    blocks = {
        "Conv2d": nn.Conv2d,
        "build_activation_layer": lambda _: nn.GELU(),
        "build_norm_layer": _norm,
        "ConvModule": _ConvNormRelu,
    }
    bases = {"BaseModule": _Base, "ModuleList": nn.ModuleList, "Sequential": nn.Sequential}
    shapes = {"PatchEmbed": _PatchEmbed, "nchw_to_nlc": _to_rows, "nlc_to_nchw": _to_images}
    contents: dict[str, dict[str, Any]] = {
        "mmcv": {},
        "mmcv.cnn": blocks,
        "mmcv.cnn.bricks": {},
        "mmcv.cnn.bricks.drop": {"build_dropout": lambda _: nn.Identity()},
        "mmcv.cnn.bricks.transformer": {"MultiheadAttention": _Attention},
        "mmcv.cnn.utils": {},
        "mmcv.cnn.utils.weight_init": {},
        "mmcv.runner": bases,
        "mmcv.runner.base_module": bases,
        "mmcv.utils": {"Registry": _Registry},
        "mmseg": {},
        "mmseg.models": {},
        "mmseg.models.utils": shapes,
        "mmseg.ops": {"resize": _grid},
    }
    return {name: _module(name, **inside) for name, inside in contents.items()}
