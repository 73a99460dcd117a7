"""The training loop: plain, readable, and able to go on exactly where it was stopped.

Episode number i is a function of the seed and i, so that the sampler's position is the step; the
checkpoint adds model, optimiser, gradient scaler and random generators, and a run that was killed
ends with the same weights as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from fsslib.data.episode import Episode
from fsslib.data.loading import EpisodeStream, batches
from fsslib.methods.base import FewShotSegmenter
from fsslib.training.checkpoint import load_checkpoint, save_checkpoint
from fsslib.training.journal import Journal, require_finite
from fsslib.training.recipe import TrainConfig
from fsslib.training.schedule import build_optimizer, learning_rate

Validate = Callable[[FewShotSegmenter], dict[str, float]]


def train(
    method: FewShotSegmenter,
    episodes: Callable[[int], EpisodeStream],
    config: TrainConfig,
    folder: Path,
    device: str = "cpu",
    validate: Validate | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Args:
        episodes: the episode stream from a given episode number on.
        validate: scores of the current method; "score" among them chooses the best weights.

    Returns:
        `last` and `best` head states, `step` (fewer than `config.steps` where patience ended),
        `best_step`, `best_score`, `seconds` of training.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    method.to(device)
    optimizer = build_optimizer(
        config.optimizer,
        method.parameters(),
        config.lr,
        config.weight_decay,
        method.slow_parameters(),
        config.slow,
    )
    scaler = torch.amp.GradScaler(enabled=config.precision == "fp16" and device != "cpu")
    state = {"step": 0, "seconds": 0.0, "best": None, "best_step": 0, "best_score": -1.0}
    fingerprint, path = asdict(config), folder / "checkpoint.pt"
    if saved := load_checkpoint(path, fingerprint):
        method.load_head_state(saved.pop("head"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        scaler.load_state_dict(saved.pop("scaler"))
        state = {key: saved[key] for key in state}
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
        state["step"] = step = step + 1
        state["seconds"] = perf_counter() - start
        if step % config.log_every == 0 or step == config.steps:
            journal.write(step, split="train", **losses, lr=lr, seconds=state["seconds"])
        if validate and config.validate_every and step % config.validate_every == 0:
            scores = validate(method)
            for split, miou in scores.items():
                journal.write(step, split=split, miou=miou)
            _keep_best(state, method, scores)
            report(_line(config, state, losses, scores))
        elif step % (config.steps // 10 or 1) == 0:
            report(_line(config, state, losses, {}))
        over = step == config.steps or _exhausted(state, config)
        if step % config.checkpoint_every == 0 or over:
            parts = {"head": method.head_state(), "optimizer": optimizer.state_dict()}
            parts["scaler"] = scaler.state_dict()
            save_checkpoint(path, {**state, **parts}, fingerprint)
        if over and step < config.steps:
            report(f"stopped: {config.patience} validations without a better score")
            break
    return {**state, "last": method.head_state()}


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
    if config.clip:
        scaler.unscale_(optimizer)
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, config.clip)
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
