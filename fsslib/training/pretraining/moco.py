"""Contrastive pretraining of a prior extractor (QGNet, Sec. IV-A; its release has no code for it).

Undilated, as MoCo's encoders are; for maps it is dilated afterwards. The loss first rises to
ln(K+1), what guessing costs, while the queue fills with keys that are told from random ones by
being keys at all; the journal holds that number beside each loss. Neither loss nor accuracy says
what features are good for: a small or badly shuffled queue is easy. `monitor` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from math import log1p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.storage import halved
from fsslib.training.checkpoint import load_checkpoint
from fsslib.training.descent import Descent
from fsslib.training.engine import Engine
from fsslib.training.optimizers import build_optimizer
from fsslib.training.parts import batch_loader
from fsslib.training.plan import Plan
from fsslib.training.pretraining.moco_batches import Batch, MocoBatches
from fsslib.training.pretraining.moco_model import Moco
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.step import Loss

Monitor = Callable[[StageBackbone], dict[str, float]]


def pretrain_moco(
    config: MocoConfig,
    store: SegmentStore,
    folder: Path,
    device: str = "cpu",
    monitor: Monitor | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train (or go on) until the last epoch; leaves `checkpoint.pt` and `metrics.jsonl`.

    Args:
        store: the pictures and their segments, prepared unless `local_weight` is 0.
        monitor: scores of the released encoder, dilated and frozen; its time does not count.

    Returns:
        `steps`, `seconds` of training, `queues`, the last `loss`es, `monitor`'s last scores.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    model, lengths = build_moco(config, store)
    model = model.to(device, memory_format=torch.channels_last).train()
    per_epoch = len(store) // config.batch_size
    chance = {f"{name}_chance": log1p(length) for name, length in lengths.items()}
    settings = {**asdict(config), **_source(store)}
    engine = _engine(model, config, per_epoch, folder, settings, device, chance, report)
    batches = MocoBatches(store, config, engine.state["step"])

    def loader(_: int) -> DataLoader:
        return batch_loader(batches, engine.parts_per_step, config.workers, device)

    def loss(batch: Batch) -> Loss:
        total, facts = model.loss(model(batch))
        return Loss({"loss": total}, facts)

    for step in engine.steps(loader):
        step.learn(loss)
        due = (step.number + 1) % config.monitor_every == 0 or engine.over
        if monitor is not None and due:
            with engine.paused():
                engine.state["scores"] = monitor(frozen(model, config, device))
            step.note(**engine.state["scores"])
    metrics = {**engine.state["facts"], **engine.state["scores"]}
    shown = {name: round(value, 4) for name, value in metrics.items()}
    seconds = round(engine.state["seconds"])
    return {"steps": batches.steps, "seconds": seconds, "queues": lengths, **shown}


def _engine(
    model: Moco,
    config: MocoConfig,
    per_epoch: int,
    folder: Path,
    settings: dict[str, Any],
    device: str,
    chance: dict[str, float],
    report: Callable[[str], None],
) -> Engine:
    weights, steps = model.query.parameters(), config.epochs * per_epoch
    optimizer = build_optimizer(config.optimizer, weights, config.lr, config.weight_decay)
    plan = Plan(
        steps, config.checkpoint_every, config.precision, max_grad_norm=config.max_grad_norm
    )
    return Engine(
        plan,
        folder,
        settings,
        {"model": model},
        optimizer,
        lambda step: config.lr_at(step // per_epoch),
        device,
        {"scores": {}},
        lambda: chance,
        report,
    )


def build_moco(config: MocoConfig, store: SegmentStore) -> tuple[Moco, dict[str, int]]:
    """A fresh model and its queues' lengths; warns of a queue that holds the data more than once.

    Raises:
        ValueError: an unknown backbone, or a queue that the batch does not divide.
    """
    if config.backbone not in BACKBONES:
        raise ValueError(f"backbone={config.backbone!r}: expected one of {sorted(BACKBONES)}")
    local = "local" in config.branches
    segments = store.report()["eligible"] if local else 1.0
    lengths = config.queue_lengths(len(store), segments)
    instances = {"global": len(store), "local": int(len(store) * segments)}
    for branch, length in lengths.items():
        if length > instances[branch] - config.batch_size:
            warnings.warn(
                f"the {branch} queue of {length} keys holds {length / instances[branch]:.1f} "
                f"epochs of {instances[branch]} instances: older keys of the same instance count "
                "as negatives of it; 'auto' keeps the queue shorter",
                stacklevel=2,
            )
    torch.manual_seed(config.seed)
    return Moco(config, lengths), lengths


def learn(
    model: Moco, batch: Batch, optimizer: torch.optim.Optimizer, lr: float
) -> dict[str, float]:
    """One step by itself, as lessons take it; losses and accuracies of it."""
    loss, facts = model.loss(model(batch))
    Descent(optimizer).down(loss, lr)
    return {name: value.item() for name, value in {"loss": loss, **facts}.items()}


def frozen(model: Moco, config: MocoConfig, device: str = "cpu") -> StageBackbone:
    """The released encoder as segmentation uses it: as it is stored, dilated and frozen."""
    backbone = BACKBONES[config.backbone]()
    backbone.load_state_dict(halved(model.backbone_state(config.encoder)))
    return backbone.freeze().to(device, memory_format=torch.channels_last)


def trained_state(folder: Path, config: MocoConfig, store: SegmentStore) -> dict[str, Tensor]:
    """Tensors of the released encoder's backbone, from a run's checkpoint."""
    content = load_checkpoint(folder / "checkpoint.pt", {**asdict(config), **_source(store)})
    prefix = f"{config.encoder}.backbone."
    return {
        key.removeprefix(prefix): value
        for key, value in content["model"].items()
        if key.startswith(prefix)
    }


def _source(store: SegmentStore) -> dict[str, Any]:
    """What a checkpoint must share with a run besides the settings."""
    segments = {f"superpixels.{key}": value for key, value in asdict(store.config).items()}
    return {"pictures": f"{len(store)} of {store.pictures.identity}", **segments}
