"""Pretraining of the embedded backbone: classify single-object scenes.

The counterpart of ImageNet for Scenes-10i. Like ImageNet's classes, the 40 names include those
that are novel in a fold: the backbone has seen them as image labels, never as masks. Trained
undilated, as ImageNet backbones are, and dilated afterwards for use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.weights import halved
from fsslib.settings import Count, Fraction, Natural, NonNegative, Positive, Settings
from fsslib.training.checkpoint import go_on, load_checkpoint, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.schedule import build_optimizer, learning_rate


@dataclass(frozen=True)
class PretrainConfig(Settings):
    """Settings of the classification pretraining."""

    preset_word = "recipe"

    backbone: str = "scenes-resnet"
    steps: Count = 2800
    batch_size: Count = 64
    size: Count = 96
    """Side of the pictures in pixels."""
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.05
    warmup: Natural = 100
    label_smoothing: Fraction = 0.0
    seed: Natural = 0
    validation_scenes: Count = 2000
    checkpoint_every: Count = 250
    workers: Natural = 1
    """Rendering processes; each needs a core."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: how `scenes-resnet` was made."""
        return {"scenes": {}}


class SingleObjects(Dataset):
    """Scenes of one object and its class, never the same twice: picture (3,h,w), class 0..39.

    `begin` pictures are skipped, which is how a resumed run goes on where it stopped.
    """

    def __init__(self, split: str, seed: int, length: int, size: int, begin: int = 0) -> None:
        self.split, self.seed, self.size = split, seed, size
        self.length, self.begin = length, begin

    def __len__(self) -> int:
        return self.length - self.begin

    def __getitem__(self, offset: int) -> tuple[Tensor, int]:
        index = self.begin + offset
        scene = render_scene(self.split, self.seed, index, self.size, objects=(1, 1))
        image = torch.from_numpy(scene.image).permute(2, 0, 1).contiguous()
        if self.split == "pretrain" and index % 2:
            image = image.flip(-1)
        return image, scene.plan.class_ids[0] - 1


class Classifier(nn.Module):
    """A backbone with a linear layer on the spatial mean of layer4."""

    def __init__(self, backbone: StageBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.channels[2], len(CLASS_NAMES))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images).layer4.mean((-2, -1)))


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
    model = Classifier(BACKBONES[config.backbone](dilated=False)).to(device)
    model = model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer("adamw", model.parameters(), config.lr, config.weight_decay)
    path, settings = folder / "checkpoint.pt", asdict(config)
    parts = {"model": model, "optimizer": optimizer}
    saved = go_on(path, settings, {"step": 0, "seconds": 0.0}, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']}")
    journal = Journal(folder / "metrics.jsonl", saved["step"])
    start = perf_counter() - saved["seconds"]
    model.train()
    for step, (images, classes) in enumerate(_pictures(config, saved["step"]), saved["step"]):
        lr = learning_rate(config.lr, "cosine", step, config.steps, config.warmup)
        optimizer.param_groups[0]["lr"] = lr
        logits = model(images.to(device))
        smoothing = config.label_smoothing
        loss = F.cross_entropy(logits, classes.to(device), label_smoothing=smoothing)
        require_finite(step, lr, {"loss": loss.item()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done, seconds = step + 1, perf_counter() - start
        if done % 25 == 0:
            accuracy = (logits.argmax(1).cpu() == classes).float().mean().item()
            journal.write(done, loss=loss.item(), accuracy=accuracy, lr=lr, seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds}
            save_checkpoint(path, saved, settings, parts)
            report(f"step {done}/{config.steps}  loss {loss.item():.3f}  {seconds:.0f} s")
    accuracy = validate(model, config, device)
    return {"accuracy": accuracy, "seconds": round(saved["seconds"]), "settings": settings}


@torch.inference_mode()
def validate(model: Classifier, config: PretrainConfig, device: str) -> float:
    """Share of held-out single-object scenes whose class is named right."""
    model.eval()
    scenes = SingleObjects("pretrain-val", config.seed, config.validation_scenes, config.size)
    hits = [
        (model(images.to(device)).argmax(1).cpu() == classes).sum().item()
        for images, classes in DataLoader(scenes, 100, num_workers=config.workers)
    ]
    return sum(hits) / config.validation_scenes


def backbone_state(folder: Path, config: PretrainConfig) -> dict[str, Tensor]:
    """The trained backbone's tensors in fp16, ready for safetensors."""
    content = load_checkpoint(folder / "checkpoint.pt", asdict(config))
    prefix = "backbone."
    state = content["model"].items()
    return halved({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)})


def _pictures(config: PretrainConfig, step: int) -> DataLoader:
    length = config.steps * config.batch_size
    scenes = SingleObjects("pretrain", config.seed, length, config.size, step * config.batch_size)
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    return DataLoader(
        scenes, config.batch_size, num_workers=config.workers, generator=torch.Generator()
    )
