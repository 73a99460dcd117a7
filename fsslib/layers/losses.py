"""Losses on logits: the papers' cross-entropy, and a balanced one for small objects.

Where no pixel of a batch counts, because all are 255, a loss is 0 with a gradient of 0: a mean over
nothing would be NaN, and end a training that has done nothing wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.data.episode import IGNORE
from fsslib.fp32 import in_fp32

LossName = Literal["cross_entropy", "cross_entropy_dice"]


@in_fp32
def segmentation_loss(
    logits: Float[Tensor, "b c h w"],
    mask: UInt8[Tensor, "b hm wm"],
    name: LossName = "cross_entropy",
) -> Float[Tensor, ""]:
    """Mean loss over the pixels that are not 255; logits are resized to the mask.

    `cross_entropy` is every paper's. `cross_entropy_dice` adds the soft Dice loss of the
    foreground classes, which does not let a large background outvote a small object.
    """
    if logits.shape[-2:] != mask.shape[-2:]:
        logits = F.interpolate(logits, mask.shape[-2:], mode="bilinear", align_corners=True)
    target, counts = _countable(mask)
    loss = F.cross_entropy(logits, target, ignore_index=IGNORE) * counts
    if name == "cross_entropy_dice":
        loss = loss + dice_loss(logits, mask.long())
    return loss


def _countable(mask: UInt8[Tensor, "b h w"]) -> tuple[Tensor, Tensor]:
    """The mask as targets, and 1; where all of it is 255, targets of 0, and 0 to multiply with.
    Nothing waits for the device to tell which."""
    counts = (mask != IGNORE).any()
    return torch.where(counts, mask, 0).long(), counts.float()


@in_fp32
def dice_loss(logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
    """1 - mean Dice of the foreground classes, per image (Milletari et al. 2016, squared form)."""
    return 1 - _dice(logits, target).mean()


def _dice(logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, "b foreground"]:
    valid = (target != IGNORE)[:, None]
    classes = torch.arange(1, logits.shape[1], device=target.device)
    truth = (target[:, None] == classes[:, None, None]).to(logits.dtype)
    probability = (logits.softmax(1) * valid)[:, 1:]
    overlap = 2 * (probability * truth).sum((-2, -1))
    total = (probability**2).sum((-2, -1)) + truth.sum((-2, -1))
    return (overlap + 1) / (total + 1)


@in_fp32
def balanced_cross_entropy(
    logits: Float[Tensor, "b c h w"], mask: UInt8[Tensor, "b h w"], most: float = 10.0
) -> Float[Tensor, ""]:
    """Cross-entropy with each class weighted by pixels / (classes present * its own pixels).

    Counted over the batch, without pixels of 255; no weight is larger than `most`.
    """
    target, any_counts = _countable(mask)
    classes = torch.arange(logits.shape[1], device=mask.device)
    counts = (target.flatten() == classes[:, None]).sum(1)
    present = (counts > 0).sum()
    weights = (counts.sum() / (present * counts.clamp_min(1))).clamp_max(most)
    loss = F.cross_entropy(logits, target, weights, ignore_index=IGNORE)
    return loss * any_counts


@in_fp32
def distillation_loss(
    correlations: Sequence[Float[Tensor, "b _ _"]], mask: UInt8[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Correlation distillation (HDMNet, Eqs. 9-11): the truth teaches the coarsest map, and every
    map the next finer one. Mean of the Kullback-Leibler divergences between softmaxes over cells.

    Args:
        correlations: from coarse to fine; teachers get no gradient.
        mask: 1 is foreground; 255 counts as background, as in the released code.
    """
    teacher = torch.where(mask == 1, 1.0, -1e9)
    terms = []
    for student in correlations:
        terms.append(_divergence(teacher, student))
        teacher = student.detach()
    return torch.stack(terms).mean()


def _divergence(
    teacher: Float[Tensor, "b ht wt"], student: Float[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    if teacher.shape != student.shape:
        size = student.shape[-2:]
        teacher = F.interpolate(teacher[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    target, predicted = (maps.flatten(1).softmax(1) for maps in (teacher, student))
    return (target * ((target + 1e-12).log() - (predicted + 1e-12).log())).sum(1).mean()


@in_fp32
def picture_losses(
    logits: Float[Tensor, "b c h w"],
    masks: UInt8[Tensor, "b h w"],
    name: LossName = "cross_entropy",
) -> Float[Tensor, " b"]:
    """`segmentation_loss` of each picture by itself; 0 where none of its pixels counts."""
    target = masks.long()
    pixels = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none").flatten(1)
    counted = (target != IGNORE).flatten(1).sum(1)
    losses = pixels.sum(1) / counted.clamp_min(1)
    if name == "cross_entropy_dice":
        losses = losses + 1 - _dice(logits, target).mean(1)
    return losses
