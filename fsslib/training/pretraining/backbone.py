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
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.data.scenes.album import Album
from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.weights import halved
from fsslib.training.checkpoint import go_on, load_checkpoint, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.pretraining.backbone_recipe import PretrainConfig
from fsslib.training.pretraining.labelled_batches import LabelledBatches
from fsslib.training.pretraining.naming import Classifier, LocalClassifier, named_right, naming_loss
from fsslib.training.schedule import build_optimizer

LOG_EVERY = 25


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
    model = build_classifier(config).to(device, memory_format=torch.channels_last)
    optimizer = build_optimizer("adamw", model.parameters(), config.lr, config.weight_decay)
    path, settings = folder / "checkpoint.pt", asdict(config)
    parts = {"model": model, "optimizer": optimizer}
    saved = go_on(path, settings, {"step": 0, "seconds": 0.0}, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']}")
    journal = Journal(folder / "metrics.jsonl", saved["step"])
    start = perf_counter() - saved["seconds"]
    model.train()
    for step, (images, shown) in enumerate(_pictures(config, saved["step"]), saved["step"]):
        if not config.coarse_at(step):
            model.refine()
        lr = config.lr_at(step)
        optimizer.param_groups[0]["lr"] = lr
        shown = shown.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = model(images.to(device))
        loss = naming_loss(logits, shown, config.label_smoothing)
        require_finite(step, lr, {"loss": loss.item()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done, seconds = step + 1, perf_counter() - start
        if done % LOG_EVERY == 0:
            accuracy = named_right(logits, shown).float().mean().item()
            journal.write(done, loss=loss.item(), accuracy=accuracy, lr=lr, seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds}
            save_checkpoint(path, saved, settings, parts)
            report(f"step {done}/{config.steps}  loss {loss.item():.3f}  {seconds:.0f} s")
    accuracy = validate(model, config, device)
    return {"accuracy": accuracy, "seconds": round(saved["seconds"]), "settings": settings}


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


def _pictures(config: PretrainConfig, step: int) -> DataLoader:
    """Batches from `step` on: pictures (b, 3, s, s), and which classes they show (b, 40)."""
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    generator, workers = torch.Generator(), config.workers
    if config.pictures == "several":
        album = _album(config.scenes, config.seed, config.size)
        batches = LabelledBatches(album, config, step)
        return DataLoader(batches, batch_size=None, num_workers=workers, generator=generator)
    length = config.steps * config.batch_size
    scenes = SingleObjects("pretrain", config.seed, length, config.size, step * config.batch_size)
    return DataLoader(scenes, config.batch_size, num_workers=workers, generator=generator)
