"""Learning from another CLIP beside the captions.

A Vision Transformer learns slowly from few pictures: it must find out that neighbours matter. A
ResNet that has learned from the same captions says what each cell shows (DeiT, Touvron et al. 2021,
found convolutional teachers best). No mask, and no label but the captions, reaches the student.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from fsslib.encoders.clip import ClipEncoder


def adopt_text(encoder: ClipEncoder, teacher: ClipEncoder) -> None:
    """Start from the teacher's text tower: both then speak of one space."""
    state = teacher.model.state_dict()
    text = {key: value for key, value in state.items() if not key.startswith("visual.")}
    encoder.model.load_state_dict(text, strict=False)


def look(
    encoder: ClipEncoder, images: Tensor, size: int, teacher: ClipEncoder | None
) -> tuple[Tensor, Tensor]:
    """Embeddings (b, d), and how far the dense features are from the teacher's: 1 - cosine, mean
    over cells, on the coarser of the two grids."""
    small = images if images.shape[-1] == size else resize(images, [size, size], antialias=True)
    if teacher is None:
        return encoder.encode_image(small), images.new_zeros((), dtype=torch.float32)
    pooled, dense = encoder.pooled_and_dense(small)
    with torch.no_grad():
        wanted = teacher.dense(images)
    grid = [min(sides) for sides in zip(dense.shape[-2:], wanted.shape[-2:], strict=True)]
    dense, wanted = (F.adaptive_avg_pool2d(cells, grid) for cells in (dense, wanted))
    return pooled, 1 - F.cosine_similarity(dense, wanted, dim=1).mean()
