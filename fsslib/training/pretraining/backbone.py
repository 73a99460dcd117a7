"""Pretraining of the embedded backbone: name what scenes show, from image labels.

The counterpart of ImageNet for Scenes-10i. Like ImageNet's classes, the 40 names include those
that are novel in a fold: the backbone has seen them as image labels, never as masks. Two recipes:
single objects, trained undilated as ImageNet backbones are, and scenes of several (`naming.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.data.scenes.album import Album
from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.storage import as_stored, halved
from fsslib.training.checkpoint import load_checkpoint
from fsslib.training.engine import Engine
from fsslib.training.optimizers import build_optimizer
from fsslib.training.parts import batch_loader, item_loader
from fsslib.training.plan import Plan
from fsslib.training.pretraining.backbone_recipe import PretrainConfig
from fsslib.training.pretraining.labelled_batches import LabelledBatches
from fsslib.training.pretraining.naming import (
    Classifier,
    LocalClassifier,
    named_right,
    naming_loss,
)
from fsslib.training.processes import Share
from fsslib.training.step import Loss


class SingleObjects(Dataset):
    """Scenes of one object and its class, never the same twice: picture (3,h,w), one-hot (40,).

    `begin` pictures are skipped, which is how a resumed run goes on where it stopped.
    """

    def __init__(self, split: str, seed: int, length: int, size: int, begin: int = 0) -> None:
        self.split, self.seed, self.size = split, seed, size
        self.length, self.begin = length, begin

    def __len__(self) -> int:
        return self.length - self.begin

    def __getitem__(self, offset: int) -> tuple[Tensor, Tensor]:
        index = self.begin + offset
        scene = render_scene(self.split, self.seed, index, self.size, objects=(1, 1))
        image = torch.from_numpy(scene.image).permute(2, 0, 1).contiguous()
        if self.split == "pretrain" and index % 2:
            image = image.flip(-1)
        shown = F.one_hot(torch.tensor(scene.plan.class_ids[0] - 1), len(CLASS_NAMES))
        return image, shown.float()


def build_classifier(config: PretrainConfig) -> Classifier | LocalClassifier:
    """The recipe's model with random weights, undilated."""
    kind = LocalClassifier if config.pictures == "several" else Classifier
    return kind(BACKBONES[config.backbone](dilated=False))


def pretrain_backbone(
    config: PretrainConfig,
    folder: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train (or go on), validate, and return the card's facts; leaves `checkpoint.pt`.

    Raises:
        CheckpointError: the folder holds a run with other settings.
    """
    torch.manual_seed(config.seed)
    model = build_classifier(config).to(device, memory_format=torch.channels_last).train()
    engine = _engine(model, config, folder, device, report)

    def loader(begin: int) -> DataLoader:
        return _pictures(config, begin, engine.parts_per_step, device, engine.share)

    def loss(batch: tuple[Tensor, Tensor]) -> Loss:
        images, shown = batch
        with engine.autocast():
            logits = model(images)
        logits = logits.float()
        right = named_right(logits, shown).float().mean()
        term = naming_loss(logits, shown, config.label_smoothing)
        return Loss({"loss": term}, {"accuracy": right})

    for step in engine.steps(loader):
        if not config.coarse_at(step.number):
            model.refine()
        step.learn(loss)
    as_stored(model.backbone)
    facts = {"accuracy": validate(model, config, device)}
    return {**facts, "seconds": round(engine.state["seconds"]), "settings": asdict(config)}


def _engine(
    model: Classifier | LocalClassifier,
    config: PretrainConfig,
    folder: Path,
    device: str,
    report: Callable[[str], None],
) -> Engine:
    plan = Plan(
        config.steps,
        config.checkpoint_every,
        config.precision,
        config.accumulate,
        config.max_grad_norm,
    )
    optimizer = build_optimizer("adamw", model.parameters(), config.lr, config.weight_decay)
    parts, rate = {"model": model}, config.lr_at
    return Engine(plan, folder, asdict(config), parts, optimizer, rate, device, report=report)


@torch.inference_mode()
def validate(model: Classifier | LocalClassifier, config: PretrainConfig, device: str) -> float:
    """Share of held-out single-object scenes whose class is named right."""
    model.eval()
    scenes = SingleObjects("pretrain-val", config.seed, config.validation_scenes, config.size)
    hits = [
        named_right(model(images.to(device)), shown.to(device)).sum().item()
        for images, shown in DataLoader(scenes, 100, num_workers=config.workers)
    ]
    return sum(hits) / config.validation_scenes


def backbone_state(folder: Path, config: PretrainConfig) -> dict[str, Tensor]:
    """The trained backbone's tensors in fp16, ready for safetensors."""
    content = load_checkpoint(folder / "checkpoint.pt", asdict(config))
    prefix = "backbone."
    state = content["model"].items()
    return halved({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)})


@lru_cache(maxsize=1)
def _album(scenes: int, seed: int, size: int) -> Album:
    return Album("pretrain", seed, scenes, size).prepare(workers=1)


def prepare_pictures(config: PretrainConfig) -> None:
    """Render what is rendered once, before several processes read it."""
    if config.pictures == "several":
        _album(config.scenes, config.seed, config.size)


def _pictures(
    config: PretrainConfig, begin: int, parts: int, device: str, share: Share
) -> DataLoader:
    """Steps from `begin` on: pictures (b, 3, s, s), and which classes they show (b, 40)."""
    if config.pictures == "several":
        batches = LabelledBatches(_album(config.scenes, config.seed, config.size), config, begin)
        return batch_loader(batches, parts, config.workers, device, _in_parts, share)
    length, start = config.steps * config.batch_size, begin * config.batch_size
    scenes = SingleObjects("pretrain", config.seed, length, config.size, start)
    return item_loader(scenes, config.batch_size, parts, config.workers, device, share=share)


def _in_parts(batch: tuple[Tensor, Tensor], parts: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(each.chunk(parts) for each in batch), strict=True))
