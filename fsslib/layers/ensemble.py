"""BAM's ensemble of what was learned of base classes and what an episode says (Lang et al., CVPR
2022, Eqs. 6-13), also at the end of HDMNet and PI-CLIP.

psi says how different two scenes look: the distance of their Gram matrices. It weighs shots and
enters the ensemble. Everything here is on probabilities, and probabilities are what comes out:
the papers put them into a cross-entropy that takes a softmax again, so that with the initial
weights the loss cannot fall below ln(1 + 1/e) = 0.313.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fsslib.fp32 import in_fp32

GRAM_EPS = 1e-7  # added to the product of norms
Unsort = Literal["fixed", "official"]


@in_fp32
def gram(features: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c c"]:
    """Cosines between channels: what a picture looks like, wherever things are."""
    flat = features.flatten(-2)
    norm = flat.norm(dim=-1, keepdim=True)
    return flat @ flat.transpose(-1, -2) / (norm @ norm.transpose(-1, -2) + GRAM_EPS)


@in_fp32
def scene_difference(
    query: Float[Tensor, "b c h w"], support: Float[Tensor, "b k c hs ws"]
) -> Float[Tensor, "b k"]:
    """psi: Frobenius distance of the Gram matrices over the number of channels, for each shot. In
    fp32 whatever autocast says: half precision cannot hold the product of two norms."""
    difference = gram(query)[:, None] - gram(support)
    return difference.norm(dim=(-2, -1)) / query.shape[1]


class ShotWeights(nn.Module):
    """Weights of K shots from their psi, summing to 1; a small network on the sorted psi.

    Args:
        unsort: give each weight back to its shot ("fixed", BAM), or leave them in sorted order
            ("official": what HDMNet's and PI-CLIP's code does by a wrong gather).
    """

    def __init__(self, shots: int, hidden: int = 2, unsort: Unsort = "fixed") -> None:
        super().__init__()
        self.unsort = unsort
        self.network = nn.Sequential(
            nn.Conv2d(shots, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, shots, 1)
        )

    @in_fp32
    def forward(self, psi: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        ordered, order = psi.sort(1)
        weights = self.network(ordered[:, :, None, None])[:, :, 0, 0]
        if self.unsort == "fixed":
            weights = weights.gather(1, order.argsort(1))
        return weights.softmax(1)


def shot_weights(shots: int, unsort: Unsort = "fixed") -> nn.Module:
    """`ShotWeights`; one shot needs none and always weighs 1."""
    return ShotWeights(shots, unsort=unsort) if shots > 1 else _AllToOne()


class _AllToOne(nn.Module):
    def forward(self, psi: Float[Tensor, "b 1"]) -> Float[Tensor, "b 1"]:
        return torch.ones_like(psi)


class Ensemble(nn.Module):
    """Meta learner and base learner put together, by two 1x1 convolutions that start as identity.

    What the base learner takes for a known object cannot be the new one: it is added to background.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gram_merge, self.cls_merge = _pass_first(), _pass_first()

    @in_fp32
    def forward(
        self,
        meta: Float[Tensor, "b 2 h w"],
        psi: Float[Tensor, " b"],
        known: Float[Tensor, "b h w"],
    ) -> Float[Tensor, "b 2 h w"]:
        """Probabilities of the meta learner, psi, and what is known -> scores of both classes."""
        different = psi[:, None, None, None].expand_as(meta[:, :1])
        background = self.gram_merge(torch.cat([meta[:, :1], different], 1))
        foreground = self.gram_merge(torch.cat([meta[:, 1:], different], 1))
        background = self.cls_merge(torch.cat([background, known[:, None]], 1))
        return torch.cat([background, foreground], 1)


@in_fp32
def known_objects(
    logits: Float[Tensor, "b classes h w"], own: Int64[Tensor, " b"]
) -> Float[Tensor, "b h w"]:
    """Probability that a pixel shows a base class, other than the episode's own.

    Args:
        logits: background first, then the base classes.
        own: the episode's class among them, from 1; 0 where it is none of them. The papers' code
            leaves it out while training only; at test it never is one.
    """
    chances = logits.softmax(1)
    mine = chances.gather(1, own[:, None, None, None].expand(-1, 1, *chances.shape[-2:]))[:, 0]
    known = 1 - chances[:, 0]
    return known - torch.where(own[:, None, None] > 0, mine, torch.zeros_like(mine))


def _pass_first() -> nn.Conv2d:
    """1x1 convolution of two maps that returns the first."""
    merge = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        merge.weight.copy_(torch.tensor([1.0, 0.0])[None, :, None, None])
    return merge
