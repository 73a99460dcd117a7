"""Contrastive pretraining of a CLIP on captioned pictures (CLIP, Radford et al. 2021, Fig. 3).

The symmetric loss is open_clip's. Three phases, because coarse is fast and the grid matters as much
as the loss: small pictures (for the embedded ResNet also with its pools in), then the size and
stride the maps are used at, with part of a ViT's patches dropped (FLIP, Li et al. 2023), and a last
stretch with all of them. Embedded CLIPs have seen all 40 names in captions, those that are novel in
a fold too, as real CLIP has seen every name of PASCAL VOC; neither has seen a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.utils.data import DataLoader

from fsslib.encoders.clip import ClipEncoder
from fsslib.training.checkpoint import go_on, save_checkpoint
from fsslib.training.journal import Journal, loss_curve, require_finite
from fsslib.training.pretraining.caption_batches import Batch, Batches
from fsslib.training.pretraining.captioned import Captioned
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.pretraining.clip_step import (
    build_clip_optimizer,
    enter_phase,
    learn,
    warm_text,
)
from fsslib.training.pretraining.clip_teacher import adopt_stem, adopt_text

_FRESH = {"step": 0, "seconds": 0.0, "losses": [], "pictures": 0}


def pretrain_clip(
    config: ClipConfig,
    encoder: ClipEncoder,
    pictures: Captioned,
    folder: Path,
    device: str = "cpu",
    teacher: ClipEncoder | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Args:
        encoder: with random weights; an embedded ResNet with its pools still in.
        teacher: frozen; it sees every picture at full size, also in the coarse steps.

    Returns:
        `seconds` of training, `pictures` seen, the last `loss` (a mean over 25 steps), its `curve`
        (by step), `settings`.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    encoder.to(device, memory_format=torch.channels_last)
    if teacher is not None:
        adopt_text(encoder, teacher)
        adopt_stem(encoder, teacher)
    optimizer = build_clip_optimizer(encoder, config)
    path, settings = folder / "checkpoint.pt", asdict(config)
    parts = {"model": encoder.model, "optimizer": optimizer}
    saved = go_on(path, settings, _FRESH, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']} of {config.steps}")
    journal = Journal(folder / "metrics.jsonl", saved["step"])
    start = perf_counter() - saved["seconds"]
    losses, seen = saved["losses"], saved["pictures"]
    encoder.train()
    batches = _batches(config, encoder, pictures, saved["step"], full_size=teacher is not None)
    if not saved["step"] and teacher is None:
        warm_text(encoder, batches, config, optimizer)
    for step, batch in enumerate(_loader(batches, config), saved["step"]):
        enter_phase(encoder, config, step)
        lr = config.lr_at(step)
        batch = Batch(*(part.to(device) for part in batch))
        facts = learn(encoder, batch, optimizer, config, lr, step, teacher)
        require_finite(step, lr, facts)
        losses, seen = [*losses[-24:], facts.pop("loss")], seen + len(batch.images)
        done, seconds = step + 1, perf_counter() - start
        if done % 25 == 0 or done == config.steps:
            facts |= {"logit_scale": encoder.logit_scale.item(), "lr": lr}
            journal.write(done, loss=_mean(losses), **facts, seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds, "losses": losses, "pictures": seen}
            save_checkpoint(path, saved, settings, parts)
            report(f"step {done}/{config.steps}  loss {_mean(losses):.3f}  {seconds:.0f} s")
    enter_phase(encoder, config, config.steps)
    facts = {"seconds": round(saved["seconds"]), "loss": round(_mean(saved["losses"]), 4)}
    facts["curve"] = loss_curve(folder / "metrics.jsonl")
    return {**facts, "pictures": saved["pictures"], "settings": settings}


def _loader(batches: Batches, config: ClipConfig) -> DataLoader:
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    return DataLoader(
        batches, batch_size=None, num_workers=config.workers, generator=torch.Generator()
    )


def _mean(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def _batches(
    config: ClipConfig, encoder: ClipEncoder, pictures: Captioned, begin: int, full_size: bool
) -> Batches:
    size = (lambda step: max(config.size, config.size_at(step))) if full_size else config.size_at
    return Batches(
        pictures,
        encoder.tokenizer,
        config.batch_size,
        config.steps,
        size,
        config.seed,
        config.single_steps,
        config.naming_from,
        begin=begin,
    )
