"""How many pixels of one episode are right: counted on any device, read on the host.

A confusion matrix holds all that scores are made of. It is counted where the maps are, so that the
matrices of a batch are fetched from their device together, and checked when they are read.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fsslib.data.episode import IGNORE


def tally(
    prediction: UInt8[Tensor, "h w"], target: UInt8[Tensor, "_ _"], way: int
) -> Int64[Tensor, " cells"]:
    """Confusion matrix of one episode, row by row (row: target), and the largest label of both
    maps; counted where the maps are, so that a batch is fetched from its device at once.

    255 in the target leaves a pixel out. `areas` reads it.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in size"
        )
    size, valid = way + 1, target != IGNORE
    counted = valid & (target <= way) & (prediction <= way)
    joint = (target.long() * size + prediction.long()).where(counted, size * size).flatten()
    confusion = joint.new_zeros(size * size + 1).scatter_add_(0, joint, torch.ones_like(joint))
    largest = [prediction.amax().long(), target.where(valid, 0).amax().long()]
    return torch.cat([confusion[:-1], torch.stack(largest)])


def areas(tallied: Int64[np.ndarray, " cells"], way: int) -> Int64[np.ndarray, "rows 3"]:
    """Intersection, union and target in pixels; rows: background, all foreground, class 1..N.

    Exact integers of any size.

    Raises:
        ValueError: a label above `way`.
    """
    size = way + 1
    for name, largest in zip(("prediction", "target"), tallied[-2:], strict=True):
        if largest > way:
            raise ValueError(f"{name} holds label {largest}; expected 0 to way={way}")
    confusion = tallied[:-2].reshape(size, size)
    hit, target = np.diag(confusion), confusion.sum(1)
    union = confusion.sum(0) + target - hit
    merged = confusion[1:, 1:].sum(), confusion.sum() - confusion[0, 0], target[1:].sum()
    each = np.stack([hit, union, target], 1)
    return np.concatenate([each[:1], [merged], each[1:]])


def count(
    prediction: UInt8[Tensor, "h w"], target: UInt8[Tensor, "_ _"], way: int
) -> Int64[np.ndarray, "rows 2"]:
    """Intersection and union of one episode, in pixels; rows as in `areas`."""
    return areas(tally(prediction, target, way).cpu().numpy(), way)[:, :2]
