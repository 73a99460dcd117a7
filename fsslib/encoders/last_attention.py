"""CLIP's last attention as one argument: what the cells of the last block look at.

    weights = softmax(scores),  mixed = out_proj(weights v)
    "vanilla":  x + mixed, then its MLP;    "reduced":  mixed alone

Seven papers differ in `scores` and in the arch; `AttentionConfig` names each of them. f is
1/sqrt(channels of a head), q, k and v are the heads of the last block on its own input x.

    clip       q k' f                  vanilla   Radford et al. 2021
    maskclip   identity                reduced   Zhou et al. 2022 (as ClearCLIP's code has it)
    residual   identity                vanilla   CLIP-DINOiser's MaskCLIP, and this package's usual
    sclip      q q' f and k k' f       vanilla   Wang et al. 2024: two softmaxes, summed, not halved
    clearclip  q q' f                  reduced   Lan et al. 2024
    kk         k k' f                  reduced   the base of NACLIP
    naclip     k k' f + omega          reduced   Hajimiri et al. 2025
    nonly      omega, scaled           reduced   NACLIP's ablation: neighbours alone
    proxy      another model's cosines reduced   ProxyCLIP, Lan et al. 2024; see `proxy.py`

omega is a Gaussian of the distance between two cells, added after f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.clip_attention import heads_of, joined, own_values, require_plain, through
from fsslib.grammar import format_group
from fsslib.settings import Positive, Settings

Scores = Literal["qk", "identity", "qq", "kk", "qq+kk", "kk+omega", "omega", "proxy"]
Arch = Literal["vanilla", "reduced"]
Facet = Literal["tokens", "q", "k", "v"]
Grid = tuple[int, int]


@dataclass(frozen=True)
class AttentionConfig(Settings):
    """What the cells of CLIP's last block look at; the module's text has the table."""

    preset_word = "kind"

    scores: Scores = "qk"
    """What the softmax is of."""
    arch: Arch = "vanilla"
    """Whether residual and MLP of the block are kept."""
    sigma: Positive = 5.0
    """Of the Gaussian over neighbours, in cells (`naclip`, `nonly`)."""
    beta: Positive = 1.2
    """Cosines below beta times their mean are cut (`proxy`)."""
    gamma: Positive = 3.0
    """1 / temperature of what is left (`proxy`)."""
    proxy: str = "scenes-dino"
    """Whose features are compared (`proxy`): an embedded DINO, timm's copies of DINO's own, or any
    ViT of timm as `timm/NAME`."""
    proxy_weights: str | None = None
    """Of the proxy: a file or a tag; None: its usual ones."""
    facet: Facet = "tokens"
    """What of the proxy's last block is compared; others than tokens for DINO's ViTs alone."""
    centred: bool | None = None
    """Whether the proxy's features are seen from their mean over the picture. None: as the proxy
    itself; the paper's are not, `scenes-dino` needs it (see `Dino`)."""
    official: bool = False
    """ProxyCLIP's released code: the mean of the cosines is over the whole batch, and rows and
    columns of the values change places."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The papers' names; `residual` is MaskCLIP's identity with residual and MLP."""
        return {
            "clip": {},
            "maskclip": {"scores": "identity", "arch": "reduced"},
            "residual": {"scores": "identity"},
            "sclip": {"scores": "qq+kk"},
            "clearclip": {"scores": "qq", "arch": "reduced"},
            "kk": {"scores": "kk", "arch": "reduced"},
            "naclip": {"scores": "kk+omega", "arch": "reduced"},
            "nonly": {"scores": "omega", "arch": "reduced"},
            "proxy": {"scores": "proxy", "arch": "reduced"},
        }

    def __str__(self) -> str:
        """One text for what means the same, in the grammar that `parse` reads."""
        return format_group("clip", self.changed())


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
