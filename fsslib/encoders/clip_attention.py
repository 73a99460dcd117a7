"""One block of a Vision Transformer: its attention map, and its way around the attention.

Functions of an open_clip block and its tokens, always (batch, tokens, channels), whatever layout
the block was built for. open_clip's own forward asks for no attention weights, hence these.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def through(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """The block as it is."""
    return _layout(block, block(_layout(block, tokens)))


def with_attention(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> tuple[Tensor, Tensor]:
    """The block as it is (b n c), and its head-mean attention (b n n); one computation for both."""
    mixed, weights = attend(block, block.ln_1(tokens))
    hidden = tokens + mixed
    return hidden + block.ls_2(block.mlp(block.ln_2(hidden))), weights


def around_mlp(
    block: nn.Module, tokens: Float[Tensor, "b n c"]
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n c"]]:
    """The block as it is, and what its MLP reads: the normalised sum of input and attention."""
    _require_plain(block)
    inside = _layout(block, block.ln_1(tokens))
    mixed, _ = block.attn(inside, inside, inside, need_weights=False)
    hidden = tokens + block.ls_1(_layout(block, mixed))
    read = block.ln_2(hidden)
    return hidden + block.ls_2(block.mlp(read)), read


def value_path(block: nn.Module, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """What the last block's attention would weigh: every token's own projected value."""
    attention, width = block.attn, tokens.shape[-1]
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    value = F.linear(block.ln_1(tokens), attention.in_proj_weight[2 * width :], bias)
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
    _require_plain(block)
    inside = _layout(block, inside)
    mixed, weights = block.attn(inside, inside, inside, need_weights=True)
    return block.ls_1(_layout(block, mixed)), weights


def _require_plain(block: nn.Module) -> None:
    if not isinstance(block.attn, nn.MultiheadAttention):
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
