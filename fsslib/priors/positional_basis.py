"""What a network says of a picture that shows nothing: where it is (INSID3, arXiv 2603.28480).

The features of one blank image span the directions in which a position can be read; a projector
takes them out of every other picture's features.

Paper and code differ: the paper's blank image is Gaussian noise, the code's is black; the code
subtracts the mean over cells, the paper mentions none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32


class PositionalBasis(NamedTuple):
    """Directions of position in C channels, and how much of a blank image lies along each."""

    directions: Float[Tensor, "c s"]
    """V_s, orthonormal columns."""
    singular_values: Float[Tensor, " r"]
    """All of them, falling."""

    @property
    def projector(self) -> Float[Tensor, "c c"]:
        """P = 1 - V_s V_s'."""
        one = torch.eye(len(self.directions), device=self.directions.device)
        return one - self.directions @ self.directions.T


@in_fp32
def blank_spectrum(
    blank: Float[Tensor, "c h w"],
) -> tuple[Float[Tensor, "c r"], Float[Tensor, " r"]]:
    """Left singular vectors and singular values of the blank image's unit features, seen from
    their mean over cells: r = min(C, n)."""
    unit = F.normalize(blank.flatten(1), dim=0)
    left, values, _ = torch.linalg.svd(unit - unit.mean(1, keepdim=True), full_matrices=False)
    return left, values


def require_components(components: int, channels: int, cells: int) -> None:
    """ValueError for a basis that would leave nothing: s >= min(C, n - 1).

    With all C directions the projector is zero up to rounding, and what is left of a feature, made
    a unit vector again, is a random linear map of it: no NaN, no warning, plausible masks, and
    nothing debiased. Subtracting the mean leaves a rank of n - 1.
    """
    most = min(channels, cells - 1)
    if components < 0 or components >= most:
        raise ValueError(
            f"components={components}: features have {channels} channels and {cells} cells, and "
            f"{most} or more directions would take everything out of them but rounding; expected "
            f"0 to {most - 1}, or a share of the blank image's variance"
        )


def components_for(singular_values: Float[Tensor, " r"], share: float) -> int:
    """The fewest directions that hold `share` (0..1) of the blank image's variance."""
    if share <= 0:
        return 0
    variance = singular_values.double().square()
    held = variance.cumsum(0) / variance.sum()
    return int((held < share - 1e-12).sum()) + 1


def positional_basis(
    blank: Float[Tensor, "c h w"],
    components: int | None = 500,
    share: float | None = None,
    refuse: bool = True,
) -> PositionalBasis:
    """The first directions of a blank image's features.

    Args:
        blank: features of a picture that shows nothing, at the size of the others.
        components: s; the released code's 500 suits ViT-L (1024 channels). 0 takes nothing out.
        share: of the blank image's variance, in place of `components`.
        refuse: False repeats the released code, which cuts s at the number of directions there
            are and so takes everything out.

    Raises:
        ValueError: see `require_components`.
    """
    left, values = blank_spectrum(blank)
    count = components_for(values, share) if share is not None else int(components or 0)
    if refuse:
        require_components(count, blank.shape[0], blank[0].numel())
    return PositionalBasis(left[:, :count], values)


@in_fp32
def plain_features(features: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """U[f]: cells of unit length."""
    return F.normalize(features, dim=-3)


@in_fp32
def debias(
    features: Float[Tensor, "*b c h w"], projector: Float[Tensor, "c c"]
) -> Float[Tensor, "*b c h w"]:
    """U[P U[f]]: unit features without what a blank image says, unit again."""
    without = torch.einsum("cd,...dhw->...chw", projector, plain_features(features))
    return F.normalize(without, dim=-3)
