"""Training of a segmenter: plain, readable, and able to go on exactly where it was stopped.

Episode number i is a function of the seed and i, so that the sampler's position is the step; the
checkpoint adds head, optimiser, gradient scaler and random generators, and a run that was killed
ends with the same weights as one that was not (on a GPU, up to the order in which it adds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fsslib.data.drawn import DrawnEpisodes, collate
from fsslib.data.episode import Episode
from fsslib.data.loading import EpisodeStream, on_device
from fsslib.methods.base import FewShotSegmenter
from fsslib.training.engine import Engine
from fsslib.training.optimizers import build_optimizer
from fsslib.training.parts import item_loader
from fsslib.training.plan import Plan
from fsslib.training.recipe import TrainConfig
from fsslib.training.schedule import learning_rate
from fsslib.training.step import Loss, Step

_FRESH = {"best": None, "best_step": 0, "best_score": -1.0}
Validate = Callable[[FewShotSegmenter], dict[str, float]]


def train(
    method: FewShotSegmenter,
    episodes: Callable[[int], EpisodeStream],
    config: TrainConfig,
    folder: Path,
    device: str = "cpu",
    validate: Validate | None = None,
    report: Callable[[str], None] = print,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Args:
        episodes: the episode stream from a given episode number on.
        validate: scores of the current method; the first of them chooses the best weights.
        about: what else must be equal for a training to go on: protocol, method, encoders.

    Returns:
        `last` and `best` head states, `step` (fewer than `config.steps` where patience ended),
        `best_step`, `best_score`, `seconds` of training.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    method.to(device).train()
    engine = _engine(method, config, folder, device, report, about)
    if _exhausted(engine.state, config):
        engine.stop()

    def loader(begin: int) -> DataLoader:
        stream = episodes(begin * config.batch_size)
        parts = engine.parts_per_step
        return item_loader(
            stream, config.batch_size, parts, config.workers, device, collate, engine.share
        )

    def loss(batch: Episode) -> Loss:
        with engine.autocast():
            terms = method.loss(method(batch), batch)
        return Loss(terms, terms)

    for step in engine.steps(loader, placing(method, engine.autocast)):
        step.learn(loss, method.counted)
        if validate and config.validate_every and (step.number + 1) % config.validate_every == 0:
            _validate(step, method, validate)
            if _exhausted(engine.state, config) and not engine.over:
                engine.report(f"stopped: {config.patience} validations without a better score")
                engine.stop()
    names = ("step", "seconds", *_FRESH)
    return {name: engine.state[name] for name in names} | {"last": method.head_state()}


def placing(
    method: FewShotSegmenter, precision: Callable[[], AbstractContextManager] = nullcontext
) -> Callable[[Episode | DrawnEpisodes, torch.device], Episode]:
    """What brings a batch to the device: pixels are made there, and what a feature cache holds of
    them is read, in the `precision` in which the step will ask."""

    def place(part: Episode | DrawnEpisodes, device: torch.device) -> Episode:
        batch = on_device(part, device)
        with precision():
            method.read_ahead(batch)
        return batch

    return place


@dataclass(frozen=True)
class _Head:
    """A method's learned part, as a part of checkpoints."""

    method: FewShotSegmenter

    def state_dict(self) -> dict[str, Tensor]:
        return self.method.head_state()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.method.load_head_state(state)

    def modules(self) -> Iterator[nn.Module]:
        return self.method.modules()


def _engine(
    method: FewShotSegmenter,
    config: TrainConfig,
    folder: Path,
    device: str,
    report: Callable[[str], None],
    about: Mapping[str, Any] | None,
) -> Engine:
    plan = Plan(
        config.steps,
        config.checkpoint_every,
        config.precision,
        config.accumulate,
        config.max_grad_norm,
        config.log_every,
        report_every=config.steps // 10 or 1,
    )
    optimizer = build_optimizer(
        config.optimizer,
        method.parameters(),
        config.lr,
        config.weight_decay,
        method.slow_parameters(),
        config.slow,
    )

    def rate(step: int) -> float:
        return learning_rate(config.lr, config.schedule, step, config.steps, config.warmup)

    settings, parts = {**(about or {}), **asdict(config)}, {"head": _Head(method)}
    split = {"split": "train"}
    return Engine(
        plan, folder, settings, parts, optimizer, rate, device, _FRESH, lambda: split, report
    )


def _validate(step: Step, method: FewShotSegmenter, validate: Validate) -> None:
    """Scores by split, for the journal and for who is watching; the first of them decides which
    head is the best."""
    scores, state = validate(method), step.engine.state
    for split, miou in scores.items():
        step.note(split=split, miou=miou)
    step.remark = "  ".join(f"{split} mIoU {100 * miou:.1f}" for split, miou in scores.items())
    score = next(iter(scores.values()))
    if score > state["best_score"]:
        head = {key: value.detach().cpu().clone() for key, value in method.head_state().items()}
        state.update(best=head, best_score=score, best_step=state["step"])


def _exhausted(state: Mapping[str, Any], config: TrainConfig) -> bool:
    """Whether the best validation lies `patience` validations back."""
    if not config.patience or state["best"] is None:
        return False
    return state["step"] - state["best_step"] >= config.patience * config.validate_every
