"""From dense features and class embeddings to score maps (MaskCLIP; LFSS Eq. 1).

Prompt denoising and key smoothing are MaskCLIP's two optional clean-ups. LFSS removes queries and
keys and never mentions denoising, so both are off unless called.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32

Scores = Float[Tensor, "b classes h w"]
TEMPERATURE = 100.0
"""CLIP's largest logit scale; MaskCLIP's and CLIP-DINOiser's softmax use it as a constant."""
ABSENT = -100.0
"""Score of a class that prompt denoising has ruled out."""


@in_fp32
def score_map(
    dense: Float[Tensor, "b d h w"], text: Float[Tensor, "classes d"]
) -> Float[Tensor, "b classes h w"]:
    """Cosine of every cell with every class, -1..1.

    Args:
        dense: features as `ClipEncoder.dense` gives them; normalised here over channels. A cell
            whose features are all zero scores 0 everywhere.
        text: unit rows.
    """
    unit = dense / dense.norm(dim=1, keepdim=True).clamp_min(torch.finfo(dense.dtype).tiny)
    return torch.einsum("bdhw,cd->bchw", unit, text.to(unit.dtype))


@in_fp32
def probabilities(scores: Scores, scale: float = TEMPERATURE) -> Scores:
    """Softmax over classes of `scale` times the cosine."""
    return (scale * scores).softmax(1)


@in_fp32
def denoise_prompts(scores: Scores, threshold: float = 0.5, scale: float = TEMPERATURE) -> Scores:
    """Rule out classes that no cell is sure of: their score becomes -100 everywhere.

    A class stays if its largest softmax probability in the image reaches `threshold` (0.5 in
    MaskCLIP's example configuration).
    """
    confidence = probabilities(scores, scale).amax((-2, -1), keepdim=True)
    return torch.where(confidence < threshold, ABSENT, scores)


@in_fp32
def smooth_keys(
    scores: Scores,
    keys: Float[Tensor, "b k h w"],
    threshold: float = 1.0,
    norm: Literal["channel", "official"] = "channel",
    scale: float = TEMPERATURE,
) -> Scores:
    """Let cells that are unsure take the classes of cells with similar keys.

    Where the largest probability p is below `threshold`, p becomes (K K') p. The weights are not
    normalised, as in MaskCLIP: the result ranks classes, it is not a distribution.

    Args:
        keys: of the attention pool (`ClipResNet.keys`) or of the last block.
        norm: K has unit length over "channel"s, so that K K' are cosines; "official" repeats the
            released code, which normalises over positions, evidently by accident.
    """
    chances = probabilities(scores, scale)
    flat = chances.flatten(2).transpose(1, 2)  # (b, n, classes)
    positions = keys.flatten(2).transpose(1, 2)  # (b, n, k)
    unit = F.normalize(positions, dim=-1 if norm == "channel" else 1)
    smoothed = torch.bmm(unit, torch.bmm(unit.transpose(1, 2), flat))  # (K K') p without n x n
    smoothed = smoothed.transpose(1, 2).view_as(chances)
    return torch.where(chances.amax(1, keepdim=True) < threshold, smoothed, chances)
