"""CLIP-DINOiser's two heads and what is done with them (Wysoczańska et al., ECCV 2024).

Two single convolutions read what the MLP of CLIP's third last block reads. `obj_proj` predicts
which cells belong together, as DINO would say: CLIP's dense features are averaged with those
correlations as weights. `bkg_decoder` predicts what is background, as FOUND would say.

The released code writes the refined background of picture k into channel k of picture 0: right for
one picture at a time only. Here it is per picture.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.fp32 import in_fp32
from fsslib.priors.similarity import unit

POOL_EPS = 1e-6
"""Added to the sum of weights, as in the released code."""

Correlations = Float[Tensor, "b n h w"]
"""Of cell n (row by row) with the cell at (h, w); n = h w."""


class DinoiserHeads(nn.Module):
    """The only trained parts; parameters are named as in the released checkpoint.

    Args:
        width: channels of the tapped tokens; 768 for ViT-B/16.
        channels: of the space in which correlations are cosines.
        kernel: side of `obj_proj`; its border is filled by repetition.
    """

    def __init__(self, width: int = 768, channels: int = 256, kernel: int = 3) -> None:
        super().__init__()
        padding = {"padding": kernel // 2, "padding_mode": "replicate"}
        self.obj_proj = nn.Conv2d(width, channels, kernel, **padding)
        self.bkg_decoder = nn.Conv2d(width, 1, 1)

    def embed(self, tapped: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e h w"]:
        """Unit vectors whose cosines are the correlations."""
        return unit(self.obj_proj(tapped))

    def saliency(self, tapped: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits of being foreground."""
        return self.bkg_decoder(unit(tapped))


@in_fp32
def correlate(embedding: Float[Tensor, "b e h w"]) -> Correlations:
    """Products of all pairs of cells, cosines for unit vectors; in fp32, also under autocast,
    because they are cut at `gamma`."""
    flat = embedding.flatten(2)  # (b, e, n)
    return (flat.mT @ flat).unflatten(2, embedding.shape[-2:])


def cut_correlations(correlations: Correlations, gamma: float | None) -> Correlations:
    """Zero below `gamma`; what equals it stays.

    None or 0 cuts nothing in the released code. Weights may then be negative and their sum may
    vanish: here negative ones are cut all the same, with a warning.
    """
    if not gamma:
        warnings.warn(
            f"gamma={gamma}: negative correlations are cut at 0; the released code keeps them and "
            "divides by sums that may vanish",
            stacklevel=2,
        )
        return correlations.clamp_min(0)
    return torch.where(correlations < gamma, 0.0, correlations)


def weighted_pool(
    features: Float[Tensor, "b d rows columns"], correlations: Correlations
) -> Float[Tensor, "b d h w"]:
    """Every cell becomes the mean of all cells, weighted by its correlations with them.

    Args:
        features: not normalised; brought to the correlations' grid (bilinear) if that is another.
        correlations: weights as they are. A cell without any weight becomes zero.
    """
    features = on_grid_of(features, correlations)
    weights = correlations.flatten(2)  # (b, n, m)
    pooled = features.flatten(2) @ weights.mT / (weights.sum(2)[:, None] + POOL_EPS)
    return pooled.unflatten(2, correlations.shape[-2:])


def on_grid_of(
    features: Float[Tensor, "b d rows columns"], correlations: Correlations
) -> Float[Tensor, "b d h w"]:
    """Features on the correlations' grid (bilinear), which is DINO's where a teacher made them."""
    size = correlations.shape[-2:]
    if features.shape[-2:] == size:
        return features
    return F.interpolate(features, size, mode="bilinear", align_corners=False)


def refine_background(
    probabilities: Float[Tensor, "b classes h w"],
    saliency: Float[Tensor, "b 1 h w"],
    delta: float = 0.99,
) -> Float[Tensor, "b classes h w"]:
    """Cells that no class is sure of and that are not salient become background.

    Args:
        probabilities: class 0 is the background.
        saliency: in 0..1; foreground above 0.5.
        delta: a class is sure from this probability on; 0.9 in the first release.

    Returns:
        The same with channel 0 set to exactly 1 there. Other channels are left as they are: cells
        no longer sum to 1, and class 0 wins ties.
    """
    unsure = probabilities.amax(1) < delta
    lost = unsure & (saliency[:, 0] <= 0.5)
    background = torch.where(lost, 1.0, probabilities[:, 0])
    return torch.cat([background[:, None], probabilities[:, 1:]], 1)
