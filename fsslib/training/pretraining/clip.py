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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fsslib.encoders.clip import ClipEncoder, longest_row
from fsslib.training.engine import Engine
from fsslib.training.journal import loss_curve
from fsslib.training.parts import batch_loader
from fsslib.training.plan import Plan
from fsslib.training.pretraining.caption_batches import Batch, Batches
from fsslib.training.pretraining.captioned import Captioned
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.pretraining.clip_step import (
    build_clip_optimizer,
    clip_loss,
    enter_phase,
    limit_scale,
    warm_text,
)
from fsslib.training.pretraining.clip_teacher import adopt_stem, adopt_text
from fsslib.training.step import Loss


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
    encoder.to(device, memory_format=torch.channels_last).train()
    if teacher is not None:
        adopt_text(encoder, teacher)
        adopt_stem(encoder, teacher)
    engine = _engine(encoder, config, folder, device, report)
    first = engine.state["step"]
    batches = _batches(config, encoder, pictures, first, full_size=teacher is not None)
    if not first and teacher is None:
        warm_text(encoder, batches, config, engine.descent)

    def loss(batch: Batch, number: int, longest: int) -> Loss:
        with engine.autocast():
            return clip_loss(encoder, batch, config, number, teacher, longest)

    def loader(_: int) -> DataLoader:
        return batch_loader(batches, engine.parts_per_step, config.workers, device)

    for step in engine.steps(loader):
        enter_phase(encoder, config, step.number)
        (batch,) = step.loaded  # in the host's memory, where a longest row costs no wait
        longest = longest_row(torch.cat([batch.tokens, batch.names]))
        step.learn(partial(loss, number=step.number, longest=longest))
        limit_scale(encoder)
        engine.state["pictures"] += len(batch.images)
    enter_phase(encoder, config, config.steps)
    return {
        "seconds": round(engine.state["seconds"]),
        "loss": round(engine.state["facts"]["loss"], 4),
        "curve": loss_curve(folder / "metrics.jsonl"),
        "pictures": engine.state["pictures"],
        "settings": asdict(config),
    }


def _engine(
    encoder: ClipEncoder,
    config: ClipConfig,
    folder: Path,
    device: str,
    report: Callable[[str], None],
) -> Engine:
    optimizer = build_clip_optimizer(encoder, config)
    plan = Plan(
        config.steps,
        config.checkpoint_every,
        config.precision,
        max_grad_norm=config.max_grad_norm,
        smooth=(("loss",), 25),
    )

    def rates(step: int) -> list[float]:
        return [config.lr_at(step) * group["rate"] for group in optimizer.param_groups]

    def scale() -> dict[str, Tensor]:
        return {"logit_scale": encoder.logit_scale.detach()}

    return Engine(
        plan,
        folder,
        asdict(config),
        {"model": encoder.model},
        optimizer,
        rates,
        device,
        {"pictures": 0},
        scale,
        report,
    )


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
