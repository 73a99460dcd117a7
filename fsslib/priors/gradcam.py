"""Class activation maps from activations and gradients (Grad-CAM, and PI-CLIP's use of it).

PI-CLIP (Wang et al., CVPR 2024, Eqs. 3-4) weighs the channels of the last block's input by
the mean gradient of the target prompt's *softmax probability*. Its code normalises the map twice,
which matters: raw maxima are between 1e-6 and 1e-2, next to an epsilon of 1e-7.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.fp32 import in_fp32
from fsslib.priors.similarity import min_max

Activations = Float[Tensor, "b c h w"]


@in_fp32
def raw_cam(activations: Activations, gradients: Activations) -> Float[Tensor, "b h w"]:
    """sum_c mean(gradients_c) activations_c, of either sign; in fp32 whatever autocast says."""
    weights = gradients.mean((-2, -1))  # (b, c)
    return torch.einsum("bc,bchw->bhw", weights, activations)


def grad_cam(activations: Activations, gradients: Activations) -> Float[Tensor, "b h w"]:
    """The positive part of `raw_cam`, stretched to 0..1 twice as PI-CLIP's code does.

    A map without a positive value is all zero.
    """
    return min_max(min_max(raw_cam(activations, gradients).relu()))
