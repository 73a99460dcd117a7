"""What a self-supervised ViT knows of Scenes-10i: naming by neighbours, and which cells belong
together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fsslib.data.episode import IGNORE
from fsslib.data.scenes import Scene, render_scene
from fsslib.encoders.dino import Dino, Facet
from fsslib.layers.weighted_pooling import correlate
from fsslib.priors.similarity import unit


@torch.inference_mode()
def neighbour_accuracy(
    encoder: Dino, scenes: int = 400, size: int = 96, nearest: int = 10
) -> float:
    """Share of single-object scenes whose class most of their nearest neighbours have.

    Half of the scenes are neighbours, the other half is asked. Chance is 1 in 40.
    """
    shown = [render_scene("pretrain-val", 0, i, size, objects=(1, 1)) for i in range(scenes)]
    tokens = [encoder(_images(shown[i : i + 50], encoder))[:, 0] for i in range(0, scenes, 50)]
    features = F.normalize(torch.cat(tokens), dim=-1)
    classes = torch.tensor([scene.plan.class_ids[0] for scene in shown], device=features.device)
    known, queries = features[::2], features[1::2]
    closeness, index = (queries @ known.T).topk(min(nearest, len(known)), dim=1)
    votes = torch.zeros(len(queries), 41, device=features.device)
    votes.scatter_add_(1, classes[::2][index], closeness)
    return (votes.argmax(1) == classes[1::2]).float().mean().item()


@torch.inference_mode()
def agreement(
    encoder: Dino,
    gammas: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6),
    scenes: int = 100,
    size: int = 96,
    facet: Facet = "v",
) -> dict[str, Any]:
    """How well cosines of at least gamma say that a cell lies on the same object as another.

    Of cells on objects with all cells of their scene.

    Returns:
        `share` of pairs that do lie on the same object (the precision of saying so always),
        `average_precision` over all thresholds, and for each gamma `precision`, `recall` and
        `marked`, the share of pairs it marks.
    """
    sums, cosines, truth = np.zeros((len(gammas), 4)), [], []
    for start in range(0, scenes, 20):
        numbers = range(start, min(start + 20, scenes))
        batch = [render_scene("clip-val", 0, number, size) for number in numbers]
        correlations = correlate(unit(encoder.facet(_images(batch, encoder), facet))).flatten(2)
        labels = torch.stack([_cells(scene, encoder) for scene in batch]).to(correlations.device)
        pairs = (labels > 0) & (labels != IGNORE)
        counted = pairs[:, :, None] & (labels != IGNORE)[:, None]
        same = labels[:, :, None] == labels[:, None]
        cosines.append(correlations[counted])
        truth.append(same[counted])
        for row, gamma in zip(sums, gammas, strict=True):
            marked = (correlations >= gamma) & counted
            groups = (marked & same, marked, same & counted, counted)
            row += [group.sum().item() for group in groups]
    return {
        "share": sums[0, 2] / sums[0, 3],
        "average_precision": average_precision(torch.cat(cosines), torch.cat(truth)),
        "gammas": {
            str(gamma): {
                "precision": hit / max(marked, 1),
                "recall": hit / max(same, 1),
                "marked": marked / max(all_, 1),
            }
            for gamma, (hit, marked, same, all_) in zip(gammas, sums, strict=True)
        },
        "scenes": scenes,
        "facet": facet,
    }


def average_precision(scores: Float[Tensor, " n"], truth: Bool[Tensor, " n"]) -> float:
    """Mean precision over the thresholds that let one more true pair in; the share of true pairs
    where scores say nothing. NaN without any true pair."""
    hits = truth[scores.argsort(descending=True)].double()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1, device=hits.device)
    return ((precision * hits).sum() / hits.sum()).item()


def _images(scenes: list[Scene], encoder: Dino) -> Tensor:
    stacked = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2)
    return stacked.to(encoder.statistics.device)


def _cells(scene: Scene, encoder: Dino) -> Float[Tensor, " n"]:
    """The label in the middle of every cell."""
    half, stride = encoder.stride // 2, encoder.stride
    return torch.from_numpy(scene.label[half::stride, half::stride].copy()).flatten().float()
