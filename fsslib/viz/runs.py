"""Figures of the run templates: training and contrast curves, and a sheet of predictions."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.viz.panel import Panel, panel
from fsslib.viz.plots import annotated_support, judged, query_with


def show_curves(rows: list[dict[str, Any]]) -> Figure:
    """Loss (faint: every entry; strong: running mean) and, where there is any, validation mIoU.

    Args:
        rows: of `metrics.jsonl`.
    """
    losses = [row for row in rows if "loss" in row]
    validations = [row for row in rows if "miou" in row]
    figure, axes = plt.subplots(1, 1 + bool(validations), figsize=(10, 3.2), squeeze=False)
    steps = [row["step"] for row in losses]
    values = np.array([row["loss"] for row in losses])
    axes[0, 0].plot(steps, values, color="#9fb6d0", linewidth=1)
    axes[0, 0].plot(steps, _running_mean(values), color="#1f4e8c", linewidth=2)
    axes[0, 0].set(title="training loss", xlabel="step")
    names = {"base": "classes trained on", "held_out": "classes kept out", "novel": "test fold"}
    for split in dict.fromkeys(row["split"] for row in validations):
        points = [(row["step"], 100 * row["miou"]) for row in validations if row["split"] == split]
        axes[0, 1].plot(*zip(*points, strict=True), marker="o", label=names.get(split, split))
        axes[0, 1].set(title="validation mIoU (%)", xlabel="step")
        axes[0, 1].legend(frameon=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    plt.close(figure)
    return figure


def show_contrast(rows: list[dict[str, Any]]) -> Figure:
    """Contrastive losses over steps, each with the line of ln(K+1), what guessing costs; beside
    them what the features are good for, if that was looked at.

    Args:
        rows: of the `metrics.jsonl` of `pretrain_moco`.
    """
    looks = [row for row in rows if "prototype_miou" in row]
    figure, axes = plt.subplots(1, 1 + bool(looks), figsize=(10, 3.2), squeeze=False)
    for name, colour in (("global", "#1f4e8c"), ("local", "#c4622d")):
        logged = [row for row in rows if f"{name}_loss" in row]
        if not logged:
            continue
        steps = [row["step"] for row in logged]
        values = np.array([row[f"{name}_loss"] for row in logged])
        axes[0, 0].plot(steps, values, color=colour, linewidth=1, alpha=0.4)
        axes[0, 0].plot(steps, _running_mean(values), color=colour, linewidth=2, label=name)
        chance = logged[-1][f"{name}_chance"]
        axes[0, 0].axhline(chance, color=colour, linestyle="--", label=f"{name}: ln(K+1)")
    axes[0, 0].set(title="contrastive loss", xlabel="step")
    for name, label in (("prototype_miou", "mIoU"), ("prototype_auroc", "AUROC")):
        points = [(row["step"], 100 * row[name]) for row in looks]
        if points:
            axes[0, 1].plot(*zip(*points, strict=True), marker="o", label=label)
            axes[0, 1].set(title="class prototypes of frozen features (%)", xlabel="step")
    for axis in axes.flat:
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    plt.close(figure)
    return figure


def show_predictions(episodes: Episode, masks: Tensor) -> Panel:
    """A sheet: first support of each class with its mask, query with the ground truth, query with
    the prediction; of one class with what was hit and missed, and the IoU.

    Args:
        episodes: a batch of B.
        masks: predicted labels (B,h,w).
    """
    single = list(episodes)
    way = episodes.way
    rows = [[annotated_support(one, number) for one in single] for number in range(way)]
    rows.append([query_with(one, one.query_mask) for one in single])
    rows.append([judged(one, mask) for one, mask in zip(single, masks, strict=True)])
    titles = [", ".join(one.class_names) for one in single]
    names = ["support"] * way + ["ground truth", "prediction"]
    return panel(rows, titles, row_names=names)


def _running_mean(values: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Mean over a window of 5 % of the curve, shorter at its ends."""
    half = max(1, int(share * len(values) / 2))
    edges = np.clip(
        [np.arange(len(values)) - half, np.arange(len(values)) + half + 1], 0, len(values)
    )
    total = np.concatenate([[0.0], np.cumsum(values)])
    return (total[edges[1]] - total[edges[0]]) / (edges[1] - edges[0])
