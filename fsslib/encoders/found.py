"""FOUND's head (Siméoni et al., CVPR 2023): a 1x1 convolution on DINO's keys says what is salient.

385 numbers for ViT-S/8. They are not bundled: the FOUND repository has them in
`data/weights/decoder_weights.pt`. Without them there is the training-free seed that they were
learned from, `priors.found.background_seed`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from fsslib.encoders.weights import load_fitting, read_state


def load_found_head(path: Path | str) -> nn.Conv2d:
    """Keys (b c h w), not normalised, to saliency logits (b 1 h w); frozen.

    Raises:
        WeightsError: the file is not there, or does not hold `weight` (1,c,1,1) and `bias` alone.
    """
    state = read_state(Path(path))
    state = {key.removeprefix("decoder."): value for key, value in state.items()}
    weight = state.get("weight", torch.empty(1, 384))
    channels = weight.shape[1] if weight.ndim > 1 and weight.shape[1] else 384
    head = nn.Conv2d(channels, 1, 1)
    load_fitting(head, state, str(path), " (expected FOUND's decoder_weights.pt)")
    return head.requires_grad_(False)
