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
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader

from fsslib.encoders.dino import Dino, small_dino
from fsslib.encoders.storage import as_stored
from fsslib.fp32 import in_fp32
from fsslib.training.engine import Engine
from fsslib.training.parts import batch_loader
from fsslib.training.plan import Plan
from fsslib.training.pretraining.crops import Pictures
from fsslib.training.pretraining.dino_crops import Views
from fsslib.training.pretraining.dino_recipe import DinoConfig
from fsslib.training.pretraining.dino_values import even_values
from fsslib.training.step import Loss

Monitor = Callable[[Dino], dict[str, float]]


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


@in_fp32
def dino_loss(
    student: Float[Tensor, "views b out"],
    teacher: Float[Tensor, "two b out"],
    center: Float[Tensor, " out"],
    config: DinoConfig,
) -> Float[Tensor, ""]:
    """Cross-entropy between what the teacher says of each large view and the student of every
    *other* view (Alg. 1). The student's first views are the teacher's, in order."""
    targets = ((teacher - center) / config.teacher_temperature).softmax(-1).detach()
    log_probabilities = (student / config.student_temperature).log_softmax(-1)
    pairs = -torch.einsum("tbo,vbo->tv", targets, log_probabilities) / student.shape[1]
    others = [torch.cat([row[:view], row[view + 1 :]]) for view, row in enumerate(pairs)]
    return torch.cat(others).mean()


def pretrain_dino(
    config: DinoConfig,
    pictures: Pictures,
    folder: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
    monitor: Monitor | None = None,
) -> tuple[Dino, dict[str, Any]]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Args:
        monitor: scores of the teacher's encoder as it is stored, frozen, for the journal; its time
            does not count.

    Returns:
        The teacher's encoder, frozen, and the card's facts: `seconds`, `loss` (mean over 20 steps),
        `spread`, `training`.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    torch.manual_seed(config.seed)
    student = Network(small_dino(), config.out).to(device)
    teacher = Teacher(student, config).to(device)
    engine = _engine(student, teacher, config, folder, device, report)

    def loader(begin: int) -> DataLoader:
        views = Views(pictures, config, begin)
        return batch_loader(views, engine.parts_per_step, config.workers, device, cut, engine.share)

    def loss(views: tuple[Tensor, Tensor]) -> Loss:
        large, small = views
        with engine.autocast():
            targets = teacher(large)
            answers = torch.cat([student(large), student(small)])
        term = dino_loss(answers.float(), targets, teacher.center, config)
        return Loss({"loss": term}, {"spread": spread(targets, teacher.center, config)})

    for step in engine.steps(loader):
        student.head.last.parametrizations.weight.original1.requires_grad_(
            step.number >= config.frozen_steps
        )
        step.learn(loss)
        teacher.follow(student, config.momentum_at(step.number), engine.mean)
        due = (step.number + 1) % config.monitor_every == 0 or engine.over
        if monitor is not None and due:
            with engine.paused():
                step.note(**monitor(frozen(teacher, config, pictures)))
    facts = {"seconds": round(engine.state["seconds"])}
    facts |= {"loss": round(engine.state["facts"]["loss"], 4), "training": asdict(config)}
    return frozen(teacher, config, pictures), facts


class Teacher(nn.Module):
    """The student's moving average, and the centre of its answers: the moving average of them."""

    def __init__(self, student: Network, config: DinoConfig) -> None:
        super().__init__()
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.keep = config.center_momentum
        self.register_buffer("center", torch.zeros(config.out))
        self.answers: list[Tensor] = []

    @torch.no_grad()
    def forward(self, large: UInt8[Tensor, "two b 3 s s"]) -> Float[Tensor, "two b out"]:
        answers = self.network(large).float()
        self.answers.append(answers.mean((0, 1)))
        return answers

    @torch.no_grad()
    def follow(self, student: Network, momentum: float, mean: Callable[[Tensor], Tensor]) -> None:
        """After a step: towards the student, and the centre towards the answers of the step, whose
        `mean` is over all processes."""
        for own, value in zip(self.network.parameters(), student.parameters(), strict=True):
            own.lerp_(value, 1 - momentum)
        answer = mean(torch.stack(self.answers).mean(0))
        self.center = self.keep * self.center + (1 - self.keep) * answer
        self.answers.clear()


def frozen(teacher: Teacher, config: DinoConfig, pictures: Pictures) -> Dino:
    """Its encoder as it is released, apart from the one that learns."""
    encoder = copy.deepcopy(teacher.network.encoder)
    if config.even_values:
        encoder = even_values(encoder, pictures, config.even_values, config.size, config.seed)
    as_stored(encoder.model)
    return encoder.freeze()


@torch.no_grad()
def spread(
    answers: Float[Tensor, "two b out"], center: Float[Tensor, " out"], config: DinoConfig
) -> Float[Tensor, ""]:
    """Entropy of the teacher's mean answer in parts of the largest there is: near 0, it says the
    same of everything."""
    mean = ((answers - center) / config.teacher_temperature).softmax(-1).mean((0, 1))
    return -(mean * mean.clamp_min(1e-12).log()).sum() / torch.tensor(config.out).log()


def cut(views: tuple[Tensor, Tensor], parts: int) -> list[tuple[Tensor, Tensor]]:
    """Views of a batch's pictures as those of its parts."""
    return list(zip(*(view.chunk(parts, 1) for view in views), strict=True))


def _engine(
    student: Network,
    teacher: Teacher,
    config: DinoConfig,
    folder: Path,
    device: str,
    report: Callable[[str], None],
) -> Engine:
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_groups(trained, config), config.lr)
    plan = Plan(
        config.steps,
        config.checkpoint_every,
        config.precision,
        config.accumulate,
        config.max_grad_norm,
        log_every=20,
        smooth=(("loss",), 20),
        draws_globally=True,  # torchvision's transforms know no other generator
    )
    parts = {"student": student, "teacher": teacher}
    settings = asdict(config)
    return Engine(plan, folder, settings, parts, optimizer, config.lr_at, device, report=report)


def _groups(parameters: list[nn.Parameter], config: DinoConfig) -> list[dict[str, Any]]:
    """Biases and gains do not decay."""
    decays = [p for p in parameters if p.ndim > 1]
    rest = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": decays, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
