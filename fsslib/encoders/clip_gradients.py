"""How a prompt's probability depends on every cell: the raw material of PI-CLIP's VTP.

The official code registers hooks and goes one image at a time; parameters collect gradients and a
forgotten hook crashes the next pass. Here one `autograd.grad` on one tensor serves a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fsslib.encoders.clip import Images
from fsslib.encoders.clip_attention import attend, through, with_attention
from fsslib.encoders.clip_dense import TEMPERATURE
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.last_attention import on_grid


class Trunk(NamedTuple):
    """A picture up to the last block, or through it: all that does not depend on the prompt.

    Attributes:
        hidden: tokens that enter the last block, which are the output of the one before it.
        attention: head-mean maps of the last `blocks` blocks, as far as they were run, summed;
            (b,1,1) zeros where there are none.
        blocks: how many maps the mean will be over, the last block's included.
        grid: cells (rows, columns).
        tokens: output of the last block, where it was run, on the same grid.
    """

    hidden: Float[Tensor, "b tokens c"]
    attention: Float[Tensor, "b _ _"]
    blocks: int
    grid: tuple[int, int]
    tokens: Float[Tensor, "b tokens c"] | None = None


class ClassGradients(NamedTuple):
    """What a class activation map is made of.

    Attributes:
        activations, gradients: at the output of `ln_1` of the last block, without class token.
        chances: softmax probability of every prompt.
        attention: mean over the last blocks, class token included.
        tokens: output of the last block.
    """

    activations: Float[Tensor, "b c rows columns"]
    gradients: Float[Tensor, "b c rows columns"]
    chances: Float[Tensor, "b prompts"]
    attention: Float[Tensor, "b tokens tokens"]
    tokens: Float[Tensor, "b tokens c"]


@torch.no_grad()
def trunk(
    encoder: ClipViT,
    images: Images,
    normalised: bool = False,
    attention: int = 8,
    whole: bool = False,
) -> Trunk:
    """Run all blocks but the last, in fp32 whatever autocast says.

    Args:
        attention: over how many of the last blocks attention is averaged; 1 makes no map here.
        whole: run the last block, too, with the encoder's own attention if it has one; the map is
            that of the block as it is.

    Raises:
        ValueError: more blocks asked for than there are.
    """
    encoder.indices([-attention])
    with torch.autocast(images.device.type, enabled=False):
        hidden, tokens = encoder.embed(images, normalised), None
        total = hidden.new_zeros(len(hidden), 1, 1)
        for index, block in enumerate(encoder.blocks[:-1]):
            if index >= len(encoder.blocks) - attention:
                hidden, weights = with_attention(block, hidden)
                total = total + weights
            else:
                hidden = through(block, hidden)
        if whole and attention == 1:
            tokens = through(encoder.blocks[-1], hidden)
        elif whole:
            tokens, weights = with_attention(encoder.blocks[-1], hidden)
            total = total + weights
        grid = encoder.grid(images.shape[-2:])
        if whole and encoder.last is not None:
            tokens, finer = encoder.leaving_last(hidden, images, normalised)
            tokens = on_grid(tokens, finer, grid)
    return Trunk(hidden, total, attention, grid, tokens)


def class_gradients(
    encoder: ClipViT,
    states: Trunk,
    text: Float[Tensor, "b prompts d"],
    scale: float | Float[Tensor, ""] = TEMPERATURE,
    images: Images | None = None,
    normalised: bool = False,
) -> ClassGradients:
    """Gradients of each picture's first prompt (PI-CLIP, Eq. 3).

    The score is the softmax probability of prompt 0 among the picture's prompts, of the *mean patch
    token* after `ln_post`. Its gradient reaches `ln_1` of the last block only through that block's
    attention. fp32 whatever autocast says: a saturated softmax has gradients that half precision
    rounds to nothing.

    Args:
        text: unit prompt embeddings, the target's first. Rows of zeros stand for no prompt, so that
            pictures may have different numbers of them.
        images: the pictures, for an encoder that has an attention of its own.

    Raises:
        ValueError: such an encoder, and no pictures.
    """
    if encoder.last is not None and images is None:
        raise ValueError(f"{encoder.name} has attention={encoder.last.spelled!r}: give images=")
    whole = torch.autocast(text.device.type, enabled=False)
    # Evaluation runs in inference mode, whose tensors can have no gradient: hence the copies.
    with whole, torch.inference_mode(False), torch.enable_grad():
        last, hidden, text = encoder.blocks[-1], states.hidden.clone(), text.float().clone()
        scale = scale.detach().clone() if isinstance(scale, Tensor) else scale
        inside = last.ln_1(hidden).detach().requires_grad_()
        mixed, weights = attend(last, inside)
        tokens = hidden + mixed
        tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
        if encoder.last is not None:
            images = images.clone()
            tokens, finer = encoder.leaving_last(hidden, images, normalised, inside=inside)
            tokens = on_grid(tokens, finer, states.grid)
        chances = _chances(encoder, tokens, text, scale)
        (gradient,) = torch.autograd.grad(chances[:, 0].sum(), inside)
    activations, gradients = (
        values.detach()[:, 1:].transpose(1, 2).unflatten(2, states.grid)
        for values in (inside, gradient)
    )
    mean = (states.attention + weights.detach()) / states.blocks
    return ClassGradients(activations, gradients, chances.detach(), mean, tokens.detach())


def _chances(
    encoder: ClipViT, tokens: Tensor, text: Tensor, scale: float | Tensor
) -> Float[Tensor, "b prompts"]:
    """Softmax over each picture's prompts."""
    pooled = F.normalize(
        encoder.visual.ln_post(tokens)[:, 1:].mean(1) @ encoder.visual.proj, dim=-1
    )
    logits = scale * torch.einsum("bd,bpd->bp", pooled, text)
    return logits.masked_fill(text.abs().sum(-1) == 0, -torch.inf).softmax(-1)
