"""Transformer blocks of HDMNet's decoder (Peng et al., CVPR 2023, Sec. 3.3): Mix Transformer
(SegFormer) for what lies within an image, matching attention between query and support.

Matching turns attention round: the softmax runs over *query* positions, so that every support cell
hands out its one vote among them, and the votes of background cells are struck out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.onednn import linear
from fsslib.fp32 import in_fp32
from fsslib.priors.masked_cells import masked_cells, take_cells

Tokens = Float[Tensor, "b n d"]
Grid = tuple[int, int]

TEMPERATURE = 0.1
"""Of the cosines between query and support."""
LAYER_NORM_EPS = 1e-6


def as_map(tokens: Tokens, grid: Grid) -> Float[Tensor, "b d h w"]:
    """Tokens row by row on their grid."""
    return rearrange(tokens, "b (h w) d -> b d h w", h=grid[0], w=grid[1])


def as_tokens(maps: Float[Tensor, "b d h w"]) -> Tokens:
    """A map's cells, row by row."""
    return rearrange(maps, "b d h w -> b (h w) d")


class MultiHeadAttention(nn.Module):
    """Four linear layers without bias, and two ways of attending."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim={dim} cannot be divided among {heads} heads")
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_o = (
            nn.Linear(dim, dim, bias=False) for _ in range(4)
        )

    def forward(self, query: Tokens, source: Float[Tensor, "b m d"]) -> Tokens:
        """Ordinary attention."""
        return self._out(F.scaled_dot_product_attention(*self._split(query, source)))

    def match(
        self,
        query: Tokens,
        support: Float[Tensor, "b m d"],
        mask: Float[Tensor, "b m"],
    ) -> tuple[Tokens, Float[Tensor, "b n"]]:
        """Matching attention, and the correlation map: the mean cosine / 0.1 of each query position
        with the support's foreground, mean over heads; 0 where there is no foreground."""
        if (places := masked_cells(mask)) is not None:  # no other cell has a vote
            support, mask = take_cells(support, places), mask.gather(1, places)
        mixed, correlation = match_cells(*self._split(query, support), mask)
        return self._out(mixed), correlation

    def _split(self, query: Tensor, source: Tensor) -> tuple[Tensor, ...]:
        """Queries of the one, keys and values of the other. Layers that read the same tokens are
        one product: a decoder has many of them, and small ones."""
        if query is source:
            return self._heads(query, self.linear_q, self.linear_k, self.linear_v)
        return *self._heads(query, self.linear_q), *self._heads(
            source, self.linear_k, self.linear_v
        )

    def _heads(self, tokens: Tokens, *layers: nn.Linear) -> tuple[Tensor, ...]:
        """What each layer makes of the tokens, (b, heads, n, e)."""
        weights = [layer.weight for layer in layers]
        made = linear(tokens, torch.cat(weights) if len(weights) > 1 else weights[0])
        parts = {"layers": len(layers), "heads": self.heads}
        return rearrange(made, "b n (layers heads e) -> layers b heads n e", **parts).unbind()

    def _out(self, mixed: Float[Tensor, "b heads n e"]) -> Tokens:
        return self.linear_o(rearrange(mixed, "b h n d -> b n (h d)"))


@in_fp32
def match_cells(
    query: Float[Tensor, "b heads n e"],
    keys: Float[Tensor, "b heads m e"],
    values: Float[Tensor, "b heads m e"],
    mask: Float[Tensor, "b m"],
) -> tuple[Float[Tensor, "b heads n e"], Float[Tensor, "b n"]]:
    """What the votes of masked support cells bring to each query cell, and the correlation map."""
    q, k = F.normalize(query, dim=-1), F.normalize(keys, dim=-1) / TEMPERATURE
    chosen = mask[:, None, :, None]  # (b, 1, m, 1)
    votes = (k @ q.mT).softmax(3)  # of each support cell
    mixed = votes.mT @ values.masked_fill(chosen == 0, 0)
    # The mean of all scores is the score of the mean.
    mean = (k * chosen).sum(2, keepdim=True) / (chosen.sum(2, keepdim=True) + 1e-9)
    return mixed, (q * mean).sum(3).mean(1)


class MixFFN(nn.Module):
    """Feed-forward network with a depthwise 3x3 convolution, which tells positions apart."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        hidden = 4 * dim
        self.layers = nn.Sequential(
            nn.Conv2d(dim, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, dim, 1),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tokens, grid: Grid) -> Tokens:
        return as_tokens(self.layers(as_map(tokens, grid)))


class Block(nn.Module):
    """Pre-norm attention and Mix-FFN, each with a residual.

    Args:
        reduction: side of the squares that keys and values are reduced by (self-attention).
    """

    def __init__(self, dim: int, heads: int, reduction: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm1, self.norm2 = layer_norm(dim), layer_norm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.reduce = Reduction(dim, reduction) if reduction > 1 else None
        self.dropout = nn.Dropout(dropout)
        self.ffn = MixFFN(dim, dropout)

    def forward(self, tokens: Tokens, grid: Grid) -> Tokens:
        inside = self.norm1(tokens)
        source = inside if self.reduce is None else self.reduce(inside, grid)
        tokens = tokens + self.dropout(self.attention(inside, source))
        return tokens + self.ffn(self.norm2(tokens), grid)

    def match(
        self,
        tokens: Tokens,
        grid: Grid,
        support: Float[Tensor, "b m d"],
        mask: Float[Tensor, "b m"],
    ) -> tuple[Tokens, Float[Tensor, "b n"]]:
        """The same with matching attention to the support; and the correlation map."""
        mixed, correlation = self.attention.match(self.norm1(tokens), self.norm1(support), mask)
        tokens = tokens + self.dropout(mixed)
        return tokens + self.ffn(self.norm2(tokens), grid), correlation


class Reduction(nn.Module):
    """Squares of side `ratio` become one token each; what is left over at the border is dropped."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        self.sr, self.norm = nn.Conv2d(dim, dim, ratio, ratio), layer_norm(dim)

    def forward(self, tokens: Tokens, grid: Grid) -> Float[Tensor, "b m d"]:
        return self.norm(as_tokens(self.sr(as_map(tokens, grid))))


class PatchEmbedding(nn.Module):
    """A map to tokens, by a convolution and a LayerNorm."""

    def __init__(self, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(dim, dim, kernel, stride, padding=stride // 2)
        self.norm = layer_norm(dim)

    def forward(self, maps: Float[Tensor, "b d h w"]) -> tuple[Tokens, Grid]:
        cells = self.projection(maps)
        return self.norm(as_tokens(cells)), (cells.shape[2], cells.shape[3])


def layer_norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
