"""The training loop: plain, readable, and able to go on exactly where it was stopped.

Episode number i is a function of the seed and i, so that the sampler's position is the step; the
checkpoint adds model, optimiser, gradient scaler and random generators, and a run that was killed
ends with the same weights as one that was not (on a GPU, up to the order in which it adds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from fsslib.data.episode import Episode
from fsslib.data.loading import EpisodeStream, batches
from fsslib.methods.base import FewShotSegmenter
from fsslib.training.checkpoint import go_on, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.recipe import TrainConfig
from fsslib.training.schedule import build_optimizer, learning_rate

_FRESH = {"step": 0, "seconds": 0.0, "best": None, "best_step": 0, "best_score": -1.0}
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
    method.to(device)
    optimizer = _optimizer(method, config)
    scaler = torch.amp.GradScaler(enabled=config.precision == "fp16" and device != "cpu")
    parts = {"optimizer": optimizer, "scaler": scaler}
    path = folder / "checkpoint.pt"
    fingerprint = {**(about or {}), **asdict(config)}
    state = go_on(path, fingerprint, _FRESH, parts)
    if head := state.pop("head", None):
        method.load_head_state(head)
    if state["step"]:
        report(f"going on after step {state['step']} of {config.steps}")
    journal = Journal(folder / "metrics.jsonl", state["step"])
    stream = episodes(state["step"] * config.batch_size)
    if _exhausted(state, config):
        return {**state, "last": method.head_state()}
    start = perf_counter() - state["seconds"]
    method.train()
    for batch in batches(stream, config.batch_size, config.workers, device, drop_last=True):
        step = state["step"]
        lr = learning_rate(config.lr, config.schedule, step, config.steps, config.warmup)
        losses = _step(method, batch, optimizer, scaler, config, lr)
        require_finite(step, lr, losses)
        state.update(step=step + 1, seconds=perf_counter() - start)
        scores = _validated(state, method, config, validate)
        _tell(state, config, journal, report, {**losses, "lr": lr}, scores)
        over = step + 1 == config.steps or _exhausted(state, config)
        if state["step"] % config.checkpoint_every == 0 or over:
            content = {**state, "head": method.head_state()}
            save_checkpoint(path, content, fingerprint, parts)
        if over and state["step"] < config.steps:
            report(f"stopped: {config.patience} validations without a better score")
            break
    return {**state, "last": method.head_state()}


def _validated(
    state: dict[str, Any], method: FewShotSegmenter, config: TrainConfig, validate: Validate | None
) -> dict[str, float]:
    """Scores by split where a validation is due, else nothing; keeps the best head."""
    if not (validate and config.validate_every) or state["step"] % config.validate_every:
        return {}
    scores = validate(method)
    _keep_best(state, method, scores)
    return scores


def _tell(
    state: dict[str, Any],
    config: TrainConfig,
    journal: Journal,
    report: Callable[[str], None],
    facts: dict[str, float],
    scores: dict[str, float],
) -> None:
    """What happened, for the journal and for who is watching."""
    step = state["step"]
    if step % config.log_every == 0 or step == config.steps:
        journal.write(step, split="train", **facts, seconds=state["seconds"])
    for split, miou in scores.items():
        journal.write(step, split=split, miou=miou)
    if scores or step % (config.steps // 10 or 1) == 0:
        report(_line(config, state, facts, scores))


def _optimizer(method: FewShotSegmenter, config: TrainConfig) -> torch.optim.Optimizer:
    weights, slow = method.parameters(), method.slow_parameters()
    return build_optimizer(
        config.optimizer, weights, config.lr, config.weight_decay, slow, config.slow
    )


def _step(
    method: FewShotSegmenter,
    batch: Episode,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    config: TrainConfig,
    lr: float,
) -> dict[str, float]:
    """One optimiser step; returns the loss terms and their sum."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    device = batch.query_image.device.type
    half = torch.bfloat16 if config.precision == "bf16" else torch.float16
    autocast = config.precision != "fp32" and device != "cpu"
    with torch.autocast(device, half, enabled=autocast):
        terms = method.loss(method(batch), batch)
        loss = torch.stack(list(terms.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    if config.max_grad_norm:
        scaler.unscale_(optimizer)
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
    scaler.step(optimizer)
    scaler.update()
    return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}


def _exhausted(state: dict[str, Any], config: TrainConfig) -> bool:
    """Whether the best validation lies `patience` validations back."""
    if not config.patience or state["best"] is None:
        return False
    return state["step"] - state["best_step"] >= config.patience * config.validate_every


def _keep_best(state: dict[str, Any], method: FewShotSegmenter, scores: dict[str, float]) -> None:
    """The first of the validation scores decides."""
    score = next(iter(scores.values()))
    if score > state["best_score"]:
        head = {key: value.detach().cpu().clone() for key, value in method.head_state().items()}
        state.update(best=head, best_score=score, best_step=state["step"])


def _line(config: TrainConfig, state: dict, losses: dict, scores: dict[str, float]) -> str:
    parts = [f"step {state['step']}/{config.steps}", f"loss {losses['loss']:.3f}"]
    parts += [f"{split} mIoU {100 * miou:.1f}" for split, miou in scores.items()]
    return "  ".join([*parts, f"{state['seconds']:.0f} s"])
