"""The pixels of an augmentation, for a batch of photographs of different sizes at once.

No randomness is left here: what the photographs become stands in their `Warp`s, which were drawn
where they were loaded. Everything runs on the device of the photographs, without waiting for it.
Images are sampled bilinearly, labels at the nearest pixel; where a photograph has nothing to show
they are the mean colour and 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from fsslib.data.augmentation import Warp
from fsslib.data.episode import IGNORE

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean in 0..255: what padding is filled with."""
_AT_ONCE = 4  # photographs rendered together, about 20 MiB each at 473; more are slower on CPUs
_SIGMA = 1.1  # of a 5x5 Gaussian by OpenCV's rule: 0.3 * ((5 - 1) / 2 - 1) + 0.8

Photographs = UInt8[Tensor, "n 3 h w"]
Labels = UInt8[Tensor, "n h w"]
Places = Float[Tensor, "n s s"]


def render(
    photographs: Photographs,
    labels: Labels,
    shapes: Sequence[tuple[int, int]],
    warps: Sequence[Warp],
    size: int,
) -> tuple[UInt8[Tensor, "n 3 {size} {size}"], UInt8[Tensor, "n {size} {size}"]]:
    """Photographs and labels as square network inputs, on their own device.

    Args:
        photographs: already shrunk (`shrunk`), top left in a tensor with room for the largest.
        shapes: height and width of each of them.
    """
    images = photographs.new_empty(len(warps), 3, size, size)
    masks = labels.new_empty(len(warps), size, size)
    for start in range(0, len(warps), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        packed = _Packed.of(warps[some], shapes[some]).to(photographs.device)
        images[some], masks[some] = _render(photographs[some], labels[some], packed, size)
    return images, masks


def shrunk(
    image: UInt8[Tensor, "3 h w"], label: UInt8[Tensor, "h w"], factor: int
) -> tuple[UInt8[Tensor, "3 h2 w2"], UInt8[Tensor, "h2 w2"]]:
    """Means over squares of `factor` pixels, and the label in their middle; a rest is cut off."""
    if factor == 1:
        return image, label
    mean = F.avg_pool2d(image[None].float(), factor)[0]
    height, width = mean.shape[-2:]
    middle = label[factor // 2 :: factor, factor // 2 :: factor][:height, :width]
    return mean.round().to(torch.uint8), middle


class _Packed(NamedTuple):
    """The warps of n photographs as tensors."""

    source: Float[Tensor, "n 6"]
    canvas: Float[Tensor, "n 4"]
    limits: Float[Tensor, "n 2"]
    """Number of the last column and of the last row of each photograph."""
    kernels: Float[Tensor, "2 n taps"]
    """Weights of the blur, across and down; a single 1 in the middle for none."""

    @classmethod
    def of(cls, warps: Sequence[Warp], shapes: Sequence[tuple[int, int]]) -> _Packed:
        return cls(
            torch.tensor([warp.source for warp in warps]),
            torch.tensor([warp.canvas for warp in warps]),
            torch.tensor([(width - 1.0, height - 1.0) for height, width in shapes]),
            _kernels(torch.tensor([warp.blur for warp in warps]).T),
        )

    def to(self, device: torch.device) -> _Packed:
        return _Packed(*(part.to(device, non_blocking=True) for part in self))


def _kernels(widths: Float[Tensor, "2 n"]) -> Float[Tensor, "2 n taps"]:
    """5x5 Gaussians of scaled photographs, a pixel of which is `widths` pixels of the output."""
    reach = ceil(2 * float(widths.max()))
    taps = torch.arange(-reach, reach + 1) / widths.clamp_min(1e-3)[..., None]
    # Half a pixel beyond the outermost tap, so that rounding does not decide about that one.
    weights = torch.exp(-0.5 * (taps / _SIGMA) ** 2) * (taps.abs() < 2.5)
    return weights / weights.sum(-1, keepdim=True)


def _render(
    photographs: Photographs, labels: Labels, packed: _Packed, size: int
) -> tuple[Float[Tensor, "n 3 {size} {size}"], Float[Tensor, "n {size} {size}"]]:
    """Whole numbers from 0 to 255."""
    margin = packed.kernels.shape[-1] // 2  # what the blur reads beyond the output
    inner = slice(margin, margin + size)
    columns, rows = _places(packed.source, size, margin)
    grid = _grid(columns, rows, packed.limits, labels.shape[-2:])
    images = F.grid_sample(photographs.float(), grid, align_corners=True)
    images = _smoothed(images, packed.kernels).round_().clamp_(0, 255)
    nearest = grid[:, inner, inner]
    masks = F.grid_sample(labels[:, None].float(), nearest, mode="nearest", align_corners=True)
    shows = _shows(columns[:, inner, inner], rows[:, inner, inner], packed)
    mean = torch.tensor(MEAN_COLOUR, dtype=images.dtype).to(images.device, non_blocking=True)
    images = torch.where(shows[:, None], images, mean.view(3, 1, 1))
    return images, masks[:, 0].masked_fill_(~shows, IGNORE)


def _places(source: Float[Tensor, "n 6"], size: int, margin: int) -> tuple[Places, Places]:
    """Column and row of the photograph that each pixel of the output and its margin shows.

    Not a matrix product, which a GPU may round to three digits (TF32).
    """
    a, b, c, d, e, f = source[..., None, None].unbind(1)
    pixel = torch.arange(-margin, size + margin, device=source.device, dtype=source.dtype)
    x, y = pixel[None, :], pixel[:, None]
    return a * x + (b * y + c), d * x + (e * y + f)


def _grid(
    columns: Places, rows: Places, limits: Float[Tensor, "n 2"], shape: Sequence[int]
) -> Float[Tensor, "n s s 2"]:
    """The places as `grid_sample` takes them; beyond a photograph's border, on its border."""
    last = limits[..., None, None]
    columns = torch.minimum(columns.clamp_min(0), last[:, 0]) * (2 / max(shape[1] - 1, 1)) - 1
    rows = torch.minimum(rows.clamp_min(0), last[:, 1]) * (2 / max(shape[0] - 1, 1)) - 1
    return torch.stack([columns, rows], -1)


def _smoothed(
    images: Float[Tensor, "n 3 h w"], kernels: Float[Tensor, "2 n taps"]
) -> Float[Tensor, "n 3 h2 w2"]:
    """Blurred across, then down, which uses the margin up.

    Sums of shifted pictures: a CPU does them four times faster than one kernel a picture.
    """
    for dim, weights in ((-1, kernels[0]), (-2, kernels[1])):
        taps = weights[..., None, None, None].unbind(1)
        length = images.shape[dim] - len(taps) + 1
        total = images.narrow(dim, 0, length) * taps[0]
        for shift, tap in enumerate(taps[1:], 1):
            total.addcmul_(images.narrow(dim, shift, length), tap)
        images = total
    return images


def _shows(columns: Places, rows: Places, packed: _Packed) -> Bool[Tensor, "n s s"]:
    """Where the output lies in the photograph, and on the canvas that it was scaled to."""
    last = packed.limits[..., None, None] + 0.5
    inside = (columns >= -0.5) & (columns <= last[:, 0]) & (rows >= -0.5) & (rows <= last[:, 1])
    left, top, right, bottom = packed.canvas[..., None, None].unbind(1)
    middle = torch.arange(columns.shape[-1], device=columns.device) + 0.5
    x, y = middle[None, :], middle[:, None]
    return inside & (x > left) & (x < right) & (y > top) & (y < bottom)
