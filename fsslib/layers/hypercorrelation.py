"""All similarities of two pictures at once, squeezed by 4-D convolutions (HSNet, Min et al. 2021).

A hypercorrelation is (B, C, Hq, Wq, Hs, Ws): for C pairs of features, the cosine of every query
cell with every support cell. Convolving in four dimensions is unaffordable; HSNet's centre-pivot
kernel keeps the entries where either cell is the centre, and falls into two 2-D convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.fp32 import in_fp32
from fsslib.layers.resize import resize

Correlation = Float[Tensor, "b c hq wq hs ws"]
COSINE_EPS = 1e-5  # added to norms, as in the released code
WIDTHS = (16, 64, 128)


@in_fp32
def hypercorrelation(
    query: Sequence[Float[Tensor, "b _ hq wq"]], support: Sequence[Float[Tensor, "b _ hs ws"]]
) -> Correlation:
    """Cosines of one grid's features, negative ones cut off; a channel for each pair."""
    maps = []
    for pair in zip(query, support, strict=True):
        q, s = (part / (part.norm(dim=1, keepdim=True) + COSINE_EPS) for part in pair)
        maps.append(torch.einsum("bcij,bckl->bijkl", q, s).clamp(min=0))
    return torch.stack(maps, 1)


class CentrePivotConv4d(nn.Module):
    """Two 2-D convolutions: one over the query's cells, one over the support's.

    Args:
        stride: over the support's cells; the query's grid stays.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, padding = stride, kernel // 2
        self.query = nn.Conv2d(channels, out, kernel, padding=padding)
        self.support = nn.Conv2d(channels, out, kernel, stride, padding)

    def forward(self, maps: Correlation) -> Float[Tensor, "b c2 hq wq hs2 ws2"]:
        batch, hq = maps.shape[0], maps.shape[2]
        pruned = maps[..., :: self.stride, :: self.stride]
        rows = pruned.shape[4]
        over_query = self.query(rearrange(pruned, "b c i j k l -> (b k l) c i j"))
        over_support = self._over_support(rearrange(maps, "b c i j k l -> (b i j) c k l"))
        return rearrange(over_query, "(b k l) c i j -> b c i j k l", b=batch, k=rows) + rearrange(
            over_support, "(b i j) c k l -> b c i j k l", b=batch, i=hq
        )

    def _over_support(self, maps: Float[Tensor, "n c k l"]) -> Float[Tensor, "n c2 k2 l2"]:
        # oneDNN's bf16 gradient is garbage where a strided kernel is larger than the grid.
        if min(maps.shape[-2:]) < self.support.kernel_size[0]:
            with torch.autocast(maps.device.type, enabled=False):
                return self.support(maps.float())
        return self.support(maps)


def squeeze(
    channels: int, kernels: Sequence[int], strides: Sequence[int], widths: Sequence[int] = WIDTHS
) -> nn.Sequential:
    """Centre-pivot convolutions with GroupNorm of four groups and ReLU."""
    layers: list[nn.Module] = []
    for out, kernel, stride in zip(widths, kernels, strides, strict=True):
        layers += [
            CentrePivotConv4d(channels, out, kernel, stride),
            nn.GroupNorm(4, out),
            nn.ReLU(),
        ]
        channels = out
    return nn.Sequential(*layers)


class HypercorrelationDecoder(nn.Module):
    """Hypercorrelations of three grids -> logits on twice the finest query grid.

    Args:
        counts: feature pairs on each grid, finest first.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = counts
        _, second, third = WIDTHS
        self.coarse = squeeze(coarse, (3, 3, 3), (2, 2, 2))
        self.middle = squeeze(middle, (5, 3, 3), (4, 2, 2))
        self.fine = squeeze(fine, (5, 5, 3), (4, 4, 2))
        same = (third, third, third)
        self.mix_middle = squeeze(third, (3, 3, 3), (1, 1, 1), same)
        self.mix_fine = squeeze(third, (3, 3, 3), (1, 1, 1), same)
        self.decode = nn.Sequential(_conv(third, third), nn.ReLU(), _conv(third, second), nn.ReLU())
        self.classify = nn.Sequential(_conv(second, second), nn.ReLU(), _conv(second, 2))

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _ _ _"]]) -> Float[Tensor, "b 2 h w"]:
        """`maps` finest first."""
        fine, middle = self.fine(maps[0]), self.middle(maps[1])
        mixed = resize_query(self.coarse(maps[2]), middle.shape[2:4]) + middle
        mixed = resize_query(self.mix_middle(mixed), fine.shape[2:4]) + fine
        encoded = self.mix_fine(mixed).mean((-2, -1))  # over the support
        decoded = self.decode(encoded)
        return self.classify(resize(decoded, [2 * side for side in decoded.shape[-2:]]))


def resize_query(maps: Correlation, size: Sequence[int]) -> Float[Tensor, "b c _ _ hs ws"]:
    """The query's two dimensions brought to `size`."""
    batch, rows = maps.shape[0], maps.shape[4]
    flat = resize(rearrange(maps, "b c i j k l -> (b k l) c i j"), size)
    return rearrange(flat, "(b k l) c i j -> b c i j k l", b=batch, k=rows)


def _conv(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1)
