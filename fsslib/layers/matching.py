"""HDMNet's decoder: features of query and support on three grids, matched from coarse to fine
(Peng et al., CVPR 2023, Fig. 2).

Self-attention makes each grid from the finer one, with weights shared between query and support;
matching meets them grid by grid, and every grid sees the prior maps anew. As in the released code,
BatchNorm is never in training mode: with its initial statistics it is a trainable scale and shift
for each channel, and no normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.layers.attention import Block, PatchEmbedding, as_map, as_tokens, layer_norm
from fsslib.layers.resize import resize

Maps = Float[Tensor, "b d h w"]


class Level(nn.Module):
    """One grid: patch embedding, two blocks of self-attention, LayerNorm."""

    def __init__(self, dim: int, heads: int, kernel: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.embed = PatchEmbedding(dim, kernel, stride)
        self.blocks = nn.ModuleList(Block(dim, heads, reduction) for _ in range(2))
        self.norm = layer_norm(dim)

    def forward(self, maps: Maps) -> Float[Tensor, "b d gh gw"]:
        tokens, grid = self.embed(maps)
        for block in self.blocks:
            tokens = block(tokens, grid)
        return as_map(self.norm(tokens), grid)


class MatchingDecoder(nn.Module):
    """Query and support features -> logits, and a correlation map for each grid.

    Args:
        dim: channels throughout.
        maps: prior maps that every grid sees.
        heads: of the self-attention, finest grid first; its length is the number of grids.
        reductions: of its keys and values.
        match_heads: of the matching attention.
    """

    official_names = (
        (r"levels\.(\d)\.embed\.", r"down_sample_layers.\1.0."),
        (r"levels\.(\d)\.blocks\.0\.attention\.", r"down_sample_layers.\1.1.attn.attn."),
        (r"levels\.(\d)\.blocks\.1\.attention\.", r"down_sample_layers.\1.2.attn.attn."),
        (r"levels\.(\d)\.blocks\.0\.reduce\.", r"down_sample_layers.\1.1.attn."),
        (r"levels\.(\d)\.blocks\.1\.reduce\.", r"down_sample_layers.\1.2.attn."),
        (r"levels\.(\d)\.blocks\.0\.", r"down_sample_layers.\1.1."),
        (r"levels\.(\d)\.blocks\.1\.", r"down_sample_layers.\1.2."),
        (r"levels\.(\d)\.norm\.", r"down_sample_layers.\1.3."),
        (r"match\.(\d)\.attention\.", r"match_layers.\1.0.attn.attn."),
        (r"match\.(\d)\.", r"match_layers.\1.0."),
        (r"merge\.(\d)\.0\.", r"match_layers.\1.1.conv."),
        (r"merge\.(\d)\.1\.", r"match_layers.\1.1.bn."),
        (r"parse\.", "parse_layers."),
        (r"classify\.", "cls."),
    )
    """How the released code calls the decoder's tensors."""

    def __init__(
        self,
        dim: int = 64,
        maps: int = 2,
        heads: Sequence[int] = (2, 4, 8),
        reductions: Sequence[int] = (4, 2, 1),
        match_heads: int = 2,
    ) -> None:
        super().__init__()
        if not heads or len(heads) != len(reductions):
            raise ValueError(
                f"heads={tuple(heads)}, reductions={tuple(reductions)}: expected one of each a grid"
            )
        shapes = [(1, 1)] + [(3, 2)] * (len(heads) - 1)
        self.levels = nn.ModuleList(
            Level(dim, h, kernel, stride, r)
            for (kernel, stride), h, r in zip(shapes, heads, reductions, strict=True)
        )
        self.match = nn.ModuleList(Block(dim, match_heads) for _ in heads)
        self.merge = nn.ModuleList(_merge(dim, maps) for _ in heads)
        self.parse = nn.ModuleList(_parse(dim) for _ in heads)
        self.classify = _classify(dim)

    def train(self, mode: bool = True) -> MatchingDecoder:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(
        self,
        query: Maps,
        support: Float[Tensor, "b k d h w"],
        masks: Float[Tensor, "b k hm wm"],
        priors: Float[Tensor, "b m hp wp"],
    ) -> tuple[Float[Tensor, "b 2 h w"], list[Float[Tensor, "b _ _"]]]:
        """Logits on the query's grid, and correlation maps from coarse to fine."""
        shots, pairs = support.shape[1], []
        both = torch.cat([query, support.flatten(0, 1)])  # weights are shared
        for level in self.levels:
            both = level(both)
            pairs.append((both[: len(query)], both[len(query) :]))
        out, correlations = None, []
        for number in reversed(range(len(pairs))):
            matched, correlation = self.meet(number, *pairs[number], masks, shots)
            seen = torch.cat([matched, resize(priors, matched.shape[-2:])], 1)
            out = self.add(number, self.merge[number](seen), out)
            correlations.append(correlation)
        return self.classify(out), correlations

    def meet(
        self,
        number: int,
        query: Maps,
        support: Float[Tensor, "bk d h w"],
        masks: Float[Tensor, "b k hm wm"],
        shots: int,
    ) -> tuple[Maps, Float[Tensor, "b h w"]]:
        """Query features of a grid after matching, and its correlation map."""
        grid = (query.shape[2], query.shape[3])
        chosen = F.interpolate(masks, grid, mode="nearest").flatten(1)  # (b, k*h*w)
        source = rearrange(support, "(b k) d h w -> b (k h w) d", k=shots)
        tokens, correlation = self.match[number].match(as_tokens(query), grid, source, chosen)
        return as_map(tokens, grid), correlation.unflatten(1, grid)

    def add(self, number: int, maps: Maps, coarser: Tensor | None) -> Maps:
        """What the coarser grids know, brought to this one and added before and after."""
        if coarser is None:
            return self.parse[number](maps)
        up = F.interpolate(coarser, maps.shape[-2:], mode="bilinear", align_corners=False)
        return up + self.parse[number](maps + up)


def _merge(dim: int, maps: int) -> nn.Sequential:
    convolution = nn.Conv2d(dim + maps, dim, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(dim), nn.ReLU())


def _parse(dim: int) -> nn.Sequential:
    return nn.Sequential(*_wide(dim), nn.Conv2d(4 * dim, dim, 1), nn.BatchNorm2d(dim), nn.ReLU())


def _classify(dim: int) -> nn.Sequential:
    return nn.Sequential(*_wide(dim), nn.Conv2d(4 * dim, 2, 1))


def _wide(dim: int) -> list[nn.Module]:
    """1x1 and 3x3 convolution at four times the width; no activation in between."""
    hidden = 4 * dim
    return [
        nn.Conv2d(dim, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.BatchNorm2d(hidden),
    ]
