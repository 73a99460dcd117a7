"""One block of a Vision Transformer: its attention map, and its way around the attention.

Functions of an open_clip block and its tokens, always (batch, tokens, channels), whatever layout
the block was built for. open_clip's own forward asks for no attention weights, hence these; its
weights are used where they lie.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.onednn import linear


def through(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """The block as it is."""
    if not _plain(block):
        return _layout(block, block(_layout(block, tokens)))
    return around_mlp(block, tokens)[0]


def with_attention(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> tuple[Tensor, Tensor]:
    """The block as it is (b n c), and its head-mean attention (b n n); one computation for both."""
    mixed, weights = attend(block, block.ln_1(tokens))
    hidden = tokens + mixed
    return hidden + block.ls_2(block.mlp(block.ln_2(hidden))), weights


def around_mlp(
    block: nn.Module, tokens: Float[Tensor, "b n c"]
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n c"]]:
    """The block as it is, and what its MLP reads: the normalised sum of input and attention."""
    require_plain(block)
    mixed = F.scaled_dot_product_attention(*heads_of(block.attn, block.ln_1(tokens)))
    hidden = tokens + block.ls_1(joined(block.attn, mixed))
    read = block.ln_2(hidden)
    return hidden + block.ls_2(block.mlp(read)), read


def value_path(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """What the last block's attention would weigh: every token's own projected value."""
    return own_values(block, block.ln_1(tokens))


def own_values(block: nn.Module, inside: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """The same of what the attention reads."""
    attention, width = block.attn, inside.shape[-1]
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    value = linear(inside, attention.in_proj_weight[2 * width :], bias)
    return block.ls_1(attention.out_proj(value))


def residual_path(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """The last block with every token attending to itself alone; residual and MLP are kept."""
    hidden = tokens + value_path(block, tokens)
    return hidden + block.ls_2(block.mlp(block.ln_2(hidden)))


def block_attention(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n n"]:
    """Softmax attention of one block on its input, mean over heads."""
    return attend(block, block.ln_1(tokens))[1]


def attend(block: nn.Module, inside: Float[Tensor, "b n c"]) -> tuple[Tensor, Tensor]:
    """What the attention adds to the residual stream (b n c), and its head-mean map (b n n)."""
    require_plain(block)
    query, key, value = heads_of(block.attn, inside)
    weights = ((query / query.shape[-1] ** 0.5) @ key.mT).softmax(-1)  # (b, heads, n, n)
    return block.ls_1(joined(block.attn, weights @ value)), weights.mean(1)


def heads_of(attention: nn.MultiheadAttention, inside: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values, (b heads n c/heads) each."""
    parts = linear(inside, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    return tuple(rearrange(part, "b n (h c) -> b h n c", h=attention.num_heads) for part in parts)


def joined(attention: nn.MultiheadAttention, mixed: Float[Tensor, "b h n c"]) -> Tensor:
    """What the heads gathered, side by side and projected."""
    out = attention.out_proj
    return linear(rearrange(mixed, "b h n c -> b n (h c)"), out.weight, out.bias)


def _plain(block: nn.Module) -> bool:
    return isinstance(block.attn, nn.MultiheadAttention)


def require_plain(block: nn.Module) -> None:
    if not _plain(block):
        raise TypeError(
            f"attention of a {type(block.attn).__name__} is not offered; expected the plain "
            "multi-head attention of OpenAI's and LAION's ViTs"
        )


def _layout(block: nn.Module, tokens: Tensor) -> Tensor:
    """Between (batch, tokens, c), ours, and the layout the block was built for.

    open_clip 2 used (tokens, batch, c), versions since 2.25 use (batch, tokens, c). The block's
    own flag says which; shapes cannot.
    """
    return tokens if getattr(block.attn, "batch_first", True) else tokens.transpose(0, 1)
