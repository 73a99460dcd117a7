"""How a prompt's probability depends on every cell: the raw material of PI-CLIP's VTP.

The official code registers hooks and goes one image at a time; parameters collect gradients and a
forgotten hook crashes the next pass. Here one `autograd.grad` on one tensor serves a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.clip import Images
from fsslib.encoders.clip_attention import attend, block_attention, through
from fsslib.encoders.clip_dense import TEMPERATURE
from fsslib.encoders.clip_vit import ClipViT


class ClassGradients(NamedTuple):
    """What a class activation map is made of, the class token left out.

    Attributes:
        activations, gradients: at the output of `ln_1` of the last block.
        chances: softmax probability of every prompt.
        attention: maps of the last blocks, class token included, the very last block's last.
    """

    activations: Float[Tensor, "b c rows columns"]
    gradients: Float[Tensor, "b c rows columns"]
    chances: Float[Tensor, "b prompts"]
    attention: Float[Tensor, "b blocks tokens tokens"]


def class_gradients(
    encoder: ClipViT,
    images: Images,
    text: Float[Tensor, "b prompts d"],
    normalised: bool = False,
    attention: int = 8,
    scale: float = TEMPERATURE,
) -> ClassGradients:
    """Gradients of each picture's first prompt (PI-CLIP, Eqs. 4-5).

    The score is the softmax probability of prompt 0 among the picture's prompts, of the *mean patch
    token* after `ln_post`. Its gradient reaches `ln_1` of the last block only through that block's
    attention. fp32 whatever autocast says: a saturated softmax has gradients that half precision
    rounds to nothing.

    Args:
        text: unit prompt embeddings, the target's first. Rows of zeros stand for no prompt, so that
            pictures may have different numbers of them.
        attention: maps of how many of the last blocks to return.

    Raises:
        ValueError: more blocks asked for than there are.
    """
    encoder.indices([-attention])
    with torch.autocast(images.device.type, enabled=False):
        hidden, maps = _before_last(encoder, images, normalised, attention)
        # Evaluation runs in inference mode, whose tensors can have no gradient: hence the copies.
        with torch.inference_mode(False), torch.enable_grad():
            last, hidden, text = encoder.blocks[-1], hidden.clone(), text.float().clone()
            inside = last.ln_1(hidden).detach().requires_grad_()
            mixed, weights = attend(last, inside)
            chances = _chances(encoder, hidden + mixed, text, scale)
            (gradient,) = torch.autograd.grad(chances[:, 0].sum(), inside)
    grid = encoder.grid(images.shape[-2:])
    activations, gradients = (
        tokens.detach()[:, 1:].transpose(1, 2).unflatten(2, grid) for tokens in (inside, gradient)
    )
    maps = torch.stack([*maps, weights.detach()], 1)
    return ClassGradients(activations, gradients, chances.detach(), maps)


@torch.no_grad()
def _before_last(
    encoder: ClipViT, images: Tensor, normalised: bool, attention: int
) -> tuple[Tensor, list[Tensor]]:
    """Tokens that enter the last block, and the asked attention maps of the blocks before it."""
    hidden, maps = encoder.embed(images, normalised), []
    for index, block in enumerate(encoder.blocks[:-1]):
        if index >= len(encoder.blocks) - attention:
            maps.append(block_attention(block, hidden))
        hidden = through(block, hidden)
    return hidden, maps


def _chances(
    encoder: ClipViT, hidden: Tensor, text: Tensor, scale: float
) -> Float[Tensor, "b prompts"]:
    """Softmax over each picture's prompts, from the residual stream after attention."""
    block: nn.Module = encoder.blocks[-1]
    hidden = encoder.visual.ln_post(hidden + block.mlp(block.ln_2(hidden)))
    pooled = F.normalize(hidden[:, 1:].mean(1) @ encoder.visual.proj, dim=-1)
    logits = scale * torch.einsum("bd,bpd->bp", pooled, text)
    return logits.masked_fill(text.abs().sum(-1) == 0, -torch.inf).softmax(-1)
