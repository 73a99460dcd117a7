"""CLIP's last block with another attention; `attention_config.py` has the papers' table."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.attention_config import AttentionConfig
from fsslib.encoders.clip_attention import heads_of, joined, own_values, require_plain, through

Grid = tuple[int, int]


def last_block(
    block: nn.Module,
    tokens: Float[Tensor, "b n c"],
    grid: Grid,
    config: AttentionConfig,
    weights: Float[Tensor, "b m m"] | None = None,
    finer: Grid | None = None,
    inside: Float[Tensor, "b n c"] | None = None,
) -> Float[Tensor, "b k c"]:
    """The last block with another attention.

    Args:
        tokens: its input, class token first, then the cells of `grid` row by row.
        weights: of "proxy": what each cell of `finer` looks at, rows sum to 1.
        finer: grid of those cells, `grid` where None.
        inside: what the attention reads, for gradients of it; None: `ln_1` of the tokens.

    Returns:
        Tokens, class token first; with "proxy" the cells are those of `finer`, and the class token
        has looked at itself alone.

    Raises:
        ValueError: scores="proxy" without weights.
    """
    if inside is None and (config.scores, config.arch) == ("qk", "vanilla"):
        return through(block, tokens)
    inside = block.ln_1(tokens) if inside is None else inside
    if config.scores == "proxy":
        if weights is None:
            raise ValueError("scores='proxy' without weights: give those of proxy_weights(…)")
        finer = finer or grid
        view = grid[::-1] if config.official else grid  # the released code's rows and columns
        mixed = _by_proxy(block, inside, view, weights, finer)
        tokens = on_grid(tokens, grid, finer)
    elif config.scores == "identity":
        mixed = own_values(block, inside)
    else:
        mixed = _by_own_heads(block, inside, grid, config)
    if config.arch == "reduced":
        return mixed
    hidden = tokens + mixed
    return hidden + block.ls_2(block.mlp(block.ln_2(hidden)))


def attention_weights(
    query: Float[Tensor, "b h n d"],
    key: Float[Tensor, "b h n d"],
    grid: Grid,
    config: AttentionConfig,
) -> Float[Tensor, "b h n n"]:
    """What every token looks at; rows sum to 1, those of "qq+kk" to 2.

    Args:
        query, key: of the last block's heads, class token first.

    Raises:
        ValueError: scores that are not made of queries and keys.
    """
    scale, scores = query.shape[-1] ** -0.5, config.scores
    if scores == "qk":
        return (query @ key.mT * scale).softmax(-1)
    if scores == "qq":
        return (query @ query.mT * scale).softmax(-1)
    if scores == "kk":
        return (key @ key.mT * scale).softmax(-1)
    if scores == "qq+kk":
        return (query @ query.mT * scale).softmax(-1) + (key @ key.mT * scale).softmax(-1)
    omega = neighbourhood(grid, config.sigma).to(key)
    if scores == "kk+omega":
        return (key @ key.mT * scale + omega).softmax(-1)
    if scores == "omega":
        # Mean over heads and pairs of tokens of |q||k|, of each picture.
        lengths = query.norm(dim=-1).mean(-1) * key.norm(dim=-1).mean(-1)  # (b, h)
        size = lengths.mean(1)[:, None, None, None] * scale
        return (omega * size).softmax(-1).expand(-1, query.shape[1], -1, -1)
    raise ValueError(f"scores={scores!r} are not made of queries and keys")


def neighbourhood(grid: Grid, sigma: float) -> Float[Tensor, "n n"]:
    """omega: exp(-distance^2 / (2 sigma^2)) between cells, in cells; 0 for the class token (first),
    which cells see and which sees them all the same."""
    places = torch.cartesian_prod(*(torch.arange(float(length)) for length in grid)).view(-1, 2)
    squared = (places[:, None] - places[None]).square().sum(-1)
    omega = squared.new_zeros(len(places) + 1, len(places) + 1)
    omega[1:, 1:] = (-squared / (2 * sigma**2)).exp()
    return omega


def on_grid(tokens: Float[Tensor, "b n c"], grid: Grid, finer: Grid) -> Float[Tensor, "b m c"]:
    """Cells brought to another grid (bilinear); the class token stays."""
    if grid == finer:
        return tokens
    cells = tokens[:, 1:].mT.unflatten(2, grid)
    cells = nn.functional.interpolate(cells, finer, mode="bilinear", align_corners=False)
    return torch.cat([tokens[:, :1], cells.flatten(2).mT], 1)


def _by_own_heads(
    block: nn.Module, inside: Tensor, grid: Grid, config: AttentionConfig
) -> Float[Tensor, "b n c"]:
    require_plain(block)
    query, key, value = heads_of(block.attn, inside)
    weights = attention_weights(query, key, grid, config)
    return block.ls_1(joined(block.attn, weights @ value))


def _by_proxy(
    block: nn.Module, inside: Tensor, grid: Grid, weights: Tensor, finer: Grid
) -> Float[Tensor, "b k c"]:
    """All heads look alike, so that values are mixed with heads side by side."""
    require_plain(block)
    _, _, value = heads_of(block.attn, inside)
    values = on_grid(rearrange(value, "b h n c -> b n (h c)"), grid, finer)
    mixed = torch.cat([values[:, :1], weights.to(values) @ values[:, 1:]], 1)
    heads = block.attn.num_heads
    return block.ls_1(joined(block.attn, rearrange(mixed, "b n (h c) -> b h n c", h=heads)))
