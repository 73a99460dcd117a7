"""Learning from another CLIP beside the captions.

A Vision Transformer learns slowly from few pictures: it must find out that neighbours matter. A
ResNet that has learned from the same captions says what each cell shows (DeiT, Touvron et al. 2021,
found convolutional teachers best). No mask, and no label but the captions, reaches the student.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_small import PatchStem
from fsslib.fp32 import in_fp32


def adopt_text(encoder: ClipEncoder, teacher: ClipEncoder) -> None:
    """Take the teacher's text tower as it is, and keep it: only then do its features fit the words
    (a locked text tower, as LiT, Zhai et al. 2022, locks the image tower)."""
    state = teacher.model.state_dict()
    text = {key: value for key, value in state.items() if not key.startswith("visual.")}
    encoder.model.load_state_dict(text, strict=False)
    for name, parameter in encoder.model.named_parameters():
        parameter.requires_grad_(name.startswith("visual."))


def adopt_stem(encoder: ClipEncoder, teacher: ClipEncoder) -> None:
    """Let the embedded ViT's patches start as the teacher's first stages see them."""
    stem = getattr(encoder.visual, "conv1", None)
    if isinstance(stem, PatchStem):
        stem.adopt(teacher.visual)


def look(
    encoder: ClipEncoder, images: Tensor, size: int, teacher: ClipEncoder | None
) -> tuple[Tensor, Tensor]:
    """Embeddings (b, d), and how far image and cells are from the teacher's (`distance` of the
    pooled embeddings, plus that of the dense features on the coarser of the two grids)."""
    small = images if images.shape[-1] == size else resize(images, [size, size], antialias=True)
    if teacher is None:
        return encoder.encode_image(small), images.new_zeros((), dtype=torch.float32)
    pooled, dense = encoder.pooled_and_dense(small)
    with torch.no_grad():
        target_pooled, target_dense = teacher.pooled_and_dense(images)
    grid = [min(sides) for sides in zip(dense.shape[-2:], target_dense.shape[-2:], strict=True)]
    cells, target_cells = (
        F.adaptive_avg_pool2d(features, grid).movedim(1, -1).flatten(0, 2)
        for features in (dense, target_dense)
    )
    return pooled, distance(pooled, target_pooled) + distance(cells, target_cells)


@in_fp32
def distance(student: Float[Tensor, "n d"], teacher: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """1 - cosine, after the mean of the teacher's directions is subtracted from both.

    CLIP's embeddings lie in a narrow cone: by plain cosine a student that answers every cell with
    its axis is close to any teacher. Centred, only what differs between cells counts.
    """
    student, teacher = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    axis = teacher.mean(0)
    return 1 - F.cosine_similarity(student - axis, teacher - axis, dim=-1).mean()
