"""Pretraining of the embedded backbone: classify single-object scenes.

The counterpart of ImageNet for Scenes-10i. Like ImageNet's classes, the 40 names include those
that are novel in a fold: the backbone has seen them as image labels, never as masks. Trained
undilated, as ImageNet backbones are, and dilated afterwards for use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.storage import as_stored, halved
from fsslib.settings import Count, Fraction, Natural, NonNegative, Positive, Settings
from fsslib.training.checkpoint import load_checkpoint
from fsslib.training.engine import Engine
from fsslib.training.parts import item_loader, require_parts
from fsslib.training.plan import Plan
from fsslib.training.precision import Precision
from fsslib.training.schedule import build_optimizer, learning_rate
from fsslib.training.step import Loss


@dataclass(frozen=True)
class PretrainConfig(Settings):
    """Settings of the classification pretraining."""

    preset_word = "recipe"

    backbone: str = "scenes-resnet"
    steps: Count = 2800
    batch_size: Count = 64
    accumulate: Count = 1
    """Equal parts of a batch that are learned from one after the other. BatchNorm sees one part at
    a time, so that this is another training, not only another order of adding."""
    size: Count = 96
    """Side of the pictures in pixels."""
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.05
    warmup: Natural = 100
    label_smoothing: Fraction = 0.0
    max_grad_norm: NonNegative = 0.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    precision: Precision = "fp32"
    """Autocast on the GPU; on the CPU always fp32."""
    seed: Natural = 0
    validation_scenes: Count = 2000
    checkpoint_every: Count = 250
    workers: Natural = 1
    """Rendering processes; each needs a core."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`scenes`: how `scenes-resnet` was made."""
        return {"scenes": {}}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts(self.batch_size, self.accumulate)


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
    model = model.to(memory_format=torch.channels_last).train()
    engine = _engine(model, config, folder, device, report)

    def loader(begin: int) -> DataLoader:
        length = config.steps * config.batch_size
        scenes = SingleObjects(
            "pretrain", config.seed, length, config.size, begin * config.batch_size
        )
        parts = engine.parts_per_step
        return item_loader(scenes, config.batch_size, parts, config.workers, device)

    def loss(batch: tuple[Tensor, Tensor]) -> Loss:
        images, classes = batch
        with engine.autocast():
            logits = model(images)
        return classification_loss(logits.float(), classes, config.label_smoothing)

    for step in engine.steps(loader):
        step.learn(loss)
    as_stored(model.backbone)
    facts = {"accuracy": validate(model, config, device)}
    return {**facts, "seconds": round(engine.state["seconds"]), "settings": asdict(config)}


def classification_loss(
    logits: Float[Tensor, "b classes"], classes: Int64[Tensor, " b"], smoothing: float = 0.0
) -> Loss:
    """Mean cross-entropy, and the share of pictures whose class is named right."""
    right = (logits.argmax(1) == classes).float().mean()
    term = F.cross_entropy(logits, classes, label_smoothing=smoothing)
    return Loss({"loss": term}, {"accuracy": right})


def _engine(
    model: Classifier,
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

    def rate(step: int) -> float:
        return learning_rate(config.lr, "cosine", step, config.steps, config.warmup)

    parts = {"model": model}
    return Engine(plan, folder, asdict(config), parts, optimizer, rate, device, report=report)


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
