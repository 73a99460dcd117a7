"""Self-distillation without labels (DINO, Caron et al., ICCV 2021): how `scenes-dino` is made.

A student that sees a small crop predicts what the teacher, its own moving average, says of a large
one. Centering and a low temperature keep the teacher from saying the same of everything. No label,
no caption and no mask is read.

Written out rather than taken from a library: the one that offers it brings a training framework and
some twenty packages with it, and what is needed of it is on this page.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader

from fsslib.encoders.dino import Dino, small_dino
from fsslib.training.checkpoint import go_on, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.pretraining.crops import Pictures
from fsslib.training.pretraining.dino_crops import Views
from fsslib.training.pretraining.dino_recipe import DinoConfig


class DinoHead(nn.Module):
    """Class tokens to `out` scores: three layers, and one whose rows have unit length."""

    def __init__(self, width: int, out: int, hidden: int = 256, bottleneck: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()),
            nn.Linear(hidden, bottleneck),
        )
        self.last = weight_norm(nn.Linear(bottleneck, out, bias=False))
        self.last.parametrizations.weight.original0.data.fill_(1.0)
        self.last.parametrizations.weight.original0.requires_grad_(False)

    def forward(self, tokens: Float[Tensor, "b c"]) -> Float[Tensor, "b out"]:
        return self.last(F.normalize(self.layers(tokens), dim=-1))


class Network(nn.Module):
    """A ViT and its head."""

    def __init__(self, encoder: Dino, out: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, DinoHead(encoder.width, out)

    def forward(self, views: UInt8[Tensor, "v b 3 s s"]) -> Float[Tensor, "v b out"]:
        tokens = self.encoder(views.flatten(0, 1))[:, 0]
        return self.head(tokens).unflatten(0, views.shape[:2])


def dino_loss(
    student: Float[Tensor, "views b out"],
    teacher: Float[Tensor, "two b out"],
    center: Float[Tensor, " out"],
    config: DinoConfig,
) -> Float[Tensor, ""]:
    """Cross-entropy between what the teacher says of each large view and the student of every
    *other* view (Alg. 1). The student's first views are the teacher's, in order."""
    wanted = ((teacher - center) / config.teacher_temperature).softmax(-1).detach()
    said = (student / config.student_temperature).log_softmax(-1)
    pairs = -torch.einsum("tbo,vbo->tv", wanted, said) / student.shape[1]
    same = torch.eye(*pairs.shape, dtype=torch.bool, device=pairs.device)
    return pairs[~same].mean()


def pretrain_dino(
    config: DinoConfig,
    pictures: Pictures,
    folder: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> tuple[Dino, dict[str, Any]]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Returns:
        The teacher's encoder, frozen, and the card's facts: `seconds`, `loss` (mean over 20 steps),
        `spread`, `training`.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    torch.manual_seed(config.seed)
    student = Network(small_dino(), config.out).to(device)
    teacher = copy.deepcopy(student).requires_grad_(False)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_groups(trained, config), config.lr)
    parts = {"student": student, "teacher": teacher, "optimizer": optimizer}
    path = folder / "checkpoint.pt"
    fresh = {"step": 0, "seconds": 0.0, "recent": [], "center": torch.zeros(config.out)}
    saved = go_on(path, asdict(config), fresh, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']} of {config.steps}")
    center, recent = saved["center"].to(device), saved["recent"]
    journal, start = Journal(folder / "metrics.jsonl", saved["step"]), perf_counter()
    start -= saved["seconds"]
    for step, views in enumerate(_loader(config, pictures, saved["step"]), saved["step"]):
        views = [view.to(device) for view in views]
        facts, center = learn(student, teacher, center, views, optimizer, config, step)
        recent = [*recent[-19:], facts["loss"]]
        loss, done, seconds = sum(recent) / len(recent), step + 1, perf_counter() - start
        if done % 20 == 0 or done == config.steps:
            journal.write(done, **facts | {"loss": loss}, lr=config.lr_at(step), seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds, "recent": recent, "center": center.cpu()}
            save_checkpoint(path, saved, asdict(config), parts)
            report(f"step {done}/{config.steps}  loss {loss:.3f}  {seconds:.0f} s")
    loss = sum(saved["recent"]) / len(saved["recent"])
    facts = {"seconds": round(saved["seconds"]), "loss": round(loss, 4)}
    return teacher.encoder.freeze(), {**facts, "training": asdict(config)}


def learn(
    student: Network,
    teacher: Network,
    center: Tensor,
    views: list[Tensor],
    optimizer: torch.optim.Optimizer,
    config: DinoConfig,
    step: int,
) -> tuple[dict[str, float], Tensor]:
    """One step of student, teacher and centre. Returns the loss and `spread`, the entropy of the
    teacher's mean answer in parts of the largest there is: near 0, it says the same of everything.
    """
    large, small = views
    with torch.no_grad():
        wanted = teacher(large)
    loss = dino_loss(torch.cat([student(large), student(small)]), wanted, center, config)
    require_finite(step, config.lr_at(step), {"loss": loss.item()})
    for group in optimizer.param_groups:
        group["lr"] = config.lr_at(step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if step < config.frozen_steps:
        student.head.last.zero_grad(set_to_none=True)
    torch.nn.utils.clip_grad_norm_(student.parameters(), config.max_grad_norm)
    optimizer.step()
    _follow(teacher, student, config.momentum_at(step))
    answers = ((wanted - center) / config.teacher_temperature).softmax(-1).mean((0, 1))
    spread = -(answers * answers.clamp_min(1e-12).log()).sum() / torch.tensor(config.out).log()
    keep = config.center_momentum
    center = keep * center + (1 - keep) * wanted.mean((0, 1))
    return {"loss": loss.item(), "spread": spread.item()}, center


@torch.no_grad()
def _follow(teacher: Network, student: Network, momentum: float) -> None:
    for mean, value in zip(teacher.parameters(), student.parameters(), strict=True):
        mean.lerp_(value, 1 - momentum)


def _groups(parameters: list[nn.Parameter], config: DinoConfig) -> list[dict[str, Any]]:
    """Biases and gains do not decay."""
    decays = [p for p in parameters if p.ndim > 1]
    rest = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": decays, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def _loader(config: DinoConfig, pictures: Pictures, begin: int) -> DataLoader:
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    views = Views(pictures, config, begin)
    return DataLoader(
        views, batch_size=None, num_workers=config.workers, generator=torch.Generator()
    )
