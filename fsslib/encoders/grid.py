"""The one thing that training-free methods ask of an encoder: features of cells, (B,C,h,w).

What the papers' networks hand out differs in one point above all: tokens before or after the final
norm. A method says which it reads; an encoder that knows no such difference, such as a CNN, ignores
it. `grid_encoders.py` makes the networks of this package encoders of this kind, `timm_vit.py` any
ViT of timm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from fsslib.encoders.groups import in_groups
from fsslib.encoders.identity import Keyed
from fsslib.encoders.onednn import by_onednn
from fsslib.encoders.pass_cache import Cache, PassCache

Images = Shaped[Tensor, "b 3 h w"]
Grid = Float[Tensor, "b c rows columns"]
Blank = Literal["black", "grey", "noise"]
"""A picture that shows nothing: zeros, one half, or Gaussian noise N(0, 1) in place of what
`preprocess` gives."""
GREY = 128


class GridEncoder(Keyed, ABC):
    """Base class: pictures -> features of cells, frozen.

    Attributes:
        name: what it was loaded as.
        channels: of the features.
        stride: pixels per cell.
        whole_cells: sides must be multiples of the stride, and pictures are resized to be; else
            what does not fill a cell is the network's own affair.
    """

    name: str
    channels: int
    stride: int
    whole_cells: bool = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.norm = name, None
        self.remember(PassCache())  # which keeps nothing

    @abstractmethod
    def preprocess(self, images: Images) -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB 0..255 to what the network reads."""

    @abstractmethod
    def read(self, inputs: Float[Tensor, "b 3 h w"], norm: bool) -> Grid:
        """Features of preprocessed pictures.

        Args:
            norm: of tokens, whether they are taken after the final norm.
        """

    def fit(
        self, images: Images, size: int | None = None
    ) -> Shaped[Tensor, "b 3 fitted_rows fitted_columns"]:
        """Pictures at `size` (None: their own), stretched to whole cells where those are needed;
        bilinear with antialias."""
        sides = list(images.shape[-2:]) if size is None else [size, size]
        if self.whole_cells:
            sides = [max(1, round(side / self.stride)) * self.stride for side in sides]
        if list(images.shape[-2:]) == sides:
            return images
        return resize(images, sides, InterpolationMode.BILINEAR, antialias=True)

    @torch.no_grad()
    def forward(self, images: Images, norm: bool = True, size: int | None = None) -> Grid:
        """Features of uint8 pictures, fitted to `size`.

        Args:
            norm: as the method wants it; an encoder's own `norm`, where it is set, goes before.
        """
        normalise = norm if self.norm is None else self.norm

        def make(part: Tensor) -> tuple[Tensor]:
            return (self.read(self.preprocess(part), normalise),)

        return self.cache.collect(
            lambda: f"grid-{normalise}-{self.digest}",
            self.fit(images, size),
            lambda part: in_groups(make, part),
        )[0]

    @torch.no_grad()
    def blank(
        self, kind: Blank, sides: Sequence[int], norm: bool = True, seed: int = 0
    ) -> Float[Tensor, "c h w"]:
        """Features of a picture of `sides` pixels that shows nothing.

        Args:
            seed: of the noise, which is drawn on the host.

        Raises:
            ValueError: an unknown kind.
        """
        if kind not in ("black", "grey", "noise"):
            raise ValueError(f"blank={kind!r}: expected 'black', 'grey' or 'noise'")
        device = next(self.parameters()).device
        if kind == "noise":
            generator = torch.Generator().manual_seed(seed)
            inputs = torch.randn(1, 3, *sides, generator=generator).to(device)
        else:
            level = GREY if kind == "grey" else 0
            inputs = self.preprocess(
                torch.full((1, 3, *sides), level, dtype=torch.uint8, device=device)
            )
        return self.read(inputs, norm if self.norm is None else self.norm)[0]

    def remember(self, cache: Cache) -> GridEncoder:
        """Take what was said of the same pictures before from `cache`; changes no answer beyond the
        last bits. For whoever builds an encoder."""
        self.cache = cache
        return self

    def freeze(self) -> GridEncoder:
        """No gradients and evaluation mode, for good."""
        return by_onednn(self.requires_grad_(False).eval())

    def train(self, mode: bool = True) -> GridEncoder:
        return super().train(mode and any(each.requires_grad for each in self.parameters()))


def require_pictures(images: Images) -> None:
    """TypeError for anything but uint8."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; expected uint8 RGB in 0..255")
