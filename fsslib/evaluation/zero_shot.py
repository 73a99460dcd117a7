"""What a CLIP knows of Scenes-10i without being taught a mask: naming, and naming every pixel.

Top-k recall: of the k classes in a scene, how many are among the k names that its global embedding
is closest to. Dense mIoU: argmax over all 40 names at every pixel (MaskCLIP). Background pixels
are left out of the count, because no name stands for them; so are borders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.data.episode import IGNORE
from fsslib.data.scenes import CLASS_NAMES, Scene, render_scene
from fsslib.encoders.clip import ClipEncoder, Templates
from fsslib.encoders.clip_dense import score_map
from fsslib.evaluation.meter import Meter

SPLIT = "clip-val"
"""Scenes that no training uses (DINO is looked at with them, too)."""


@torch.inference_mode()
def zero_shot(
    encoder: ClipEncoder,
    scenes: int = 1000,
    size: int = 96,
    seed: int = 0,
    templates: Templates = "maskclip",
    batch_size: int = 50,
) -> dict[str, Any]:
    """Recall and dense mIoU on held-out scenes, each with a 95 % interval over scenes.

    Args:
        size: side of the pictures in pixels; label maps have the same size.

    Returns:
        `recall`, `dense_miou` (0..1), their `_interval`s, `per_class` IoU, and what was asked.
    """
    device = encoder.logit_scale.device
    text = encoder.encode_text(CLASS_NAMES, templates)
    meter, counts = Meter(), np.zeros((scenes, 2), np.int64)
    for start in range(0, scenes, batch_size):
        batch = [
            render_scene(SPLIT, seed, index, size)
            for index in range(start, min(start + batch_size, scenes))
        ]
        images = torch.from_numpy(np.stack([scene.image for scene in batch]))
        images = images.permute(0, 3, 1, 2).to(device)
        similarity = F.normalize(encoder.encode_image(images), dim=-1) @ text.T
        counts[start : start + len(batch)] = [
            named(row, scene.plan.class_ids) for row, scene in zip(similarity, batch, strict=True)
        ]
        predictions = dense_classes(score_map(encoder.dense(images), text), size)
        for prediction, scene in zip(predictions.cpu(), batch, strict=True):
            meter.add(prediction, objects_only(scene), range(1, len(CLASS_NAMES) + 1))
    per_class = meter.per_class()
    return {
        "recall": _share(counts.sum(0)),
        "recall_interval": _interval(counts),
        "dense_miou": meter.miou(),
        "dense_miou_interval": meter.interval("miou"),
        "per_class": {
            CLASS_NAMES[c - 1]: round(facts["intersection"] / max(facts["union"], 1), 4)
            for c, facts in per_class.items()
        },
        "scenes": scenes,
        "size": size,
        "templates": templates,
        "background": "left out of the count",
    }


def named(similarity: Float[Tensor, " classes"], class_ids: tuple[int, ...]) -> tuple[int, int]:
    """How many of the k classes are among the k most similar names, and k."""
    top = similarity.topk(len(class_ids)).indices.tolist()
    return len({index + 1 for index in top} & set(class_ids)), len(class_ids)


def dense_classes(scores: Float[Tensor, "b classes h w"], size: int) -> UInt8[Tensor, "b _ _"]:
    """Class id 1.. of every pixel: scores are interpolated (bilinear), then compared."""
    scores = F.interpolate(scores, (size, size), mode="bilinear", align_corners=False)
    return (scores.argmax(1) + 1).to(torch.uint8)


def objects_only(scene: Scene) -> Tensor:
    """Label map with background turned into 255."""
    label = torch.from_numpy(scene.label.copy())
    return torch.where(label == 0, IGNORE, label).to(torch.uint8)


def _share(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])


def _interval(counts: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Bootstrap percentiles of found / present, scenes drawn anew with replacement."""
    count = len(counts)
    weights = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), size=resamples
    )
    sums = weights @ counts
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return float(low), float(high)
