"""Contrastive pretraining of a prior extractor (QGNet, Sec. III-B; its release has no code for it).

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
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.stages import StageBackbone
from fsslib.training.checkpoint import go_on, load_checkpoint, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.pretraining.moco_batches import Batch, MocoBatches
from fsslib.training.pretraining.moco_model import Moco
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.schedule import build_optimizer

Monitor = Callable[[StageBackbone], dict[str, float]]
_FRESH = {"step": 0, "seconds": 0.0}


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
    model = model.to(device, memory_format=torch.channels_last)
    weights = model.query.parameters()
    optimizer = build_optimizer(config.optimizer, weights, config.lr, config.weight_decay)
    path, settings = folder / "checkpoint.pt", {**asdict(config), **_source(store)}
    parts = {"model": model, "optimizer": optimizer}
    saved = go_on(path, settings, _FRESH, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']}")
    journal = Journal(folder / "metrics.jsonl", saved["step"])
    chance = {f"{name}_chance": log1p(length) for name, length in lengths.items()}
    seconds, facts, scores = saved["seconds"], saved.get("facts", {}), saved.get("scores", {})
    batches = MocoBatches(store, config, saved["step"])
    model.train()
    begin = perf_counter()
    for step, batch in enumerate(_loader(batches, config), saved["step"]):
        lr = config.lr_at(step // batches.per_epoch)
        facts = learn(model, batch.to(device), optimizer, lr)
        require_finite(step, lr, facts)
        done, seconds, begin = step + 1, seconds + perf_counter() - begin, perf_counter()
        last = done == batches.steps
        if done % 25 == 0 or last:
            journal.write(done, **facts, **chance, lr=lr, seconds=seconds)
        if monitor is not None and (done % config.monitor_every == 0 or last):
            scores = monitor(frozen(model, config, device))
            journal.write(done, **scores)
            begin = perf_counter()
        if done % config.checkpoint_every == 0 or last:
            saved = {"step": done, "seconds": seconds, "facts": facts, "scores": scores}
            save_checkpoint(path, saved, settings, parts)
            report(f"step {done}/{batches.steps}  loss {facts['loss']:.3f}  {seconds:.0f} s")
    shown = {name: round(value, 4) for name, value in {**facts, **scores}.items()}
    return {"steps": batches.steps, "seconds": round(seconds), "queues": lengths, **shown}


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
    """One step; losses and accuracies of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    loss, facts = model.loss(model(batch))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), **facts}


def frozen(model: Moco, config: MocoConfig, device: str = "cpu") -> StageBackbone:
    """The released encoder as segmentation uses it: dilated and frozen."""
    backbone = BACKBONES[config.backbone]()
    backbone.load_state_dict(model.backbone_state(config.encoder))
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


def _loader(batches: MocoBatches, config: MocoConfig) -> DataLoader:
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    return DataLoader(
        batches, batch_size=None, num_workers=config.workers, generator=torch.Generator()
    )
