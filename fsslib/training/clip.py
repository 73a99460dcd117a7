"""Contrastive pretraining of a CLIP on captioned pictures (CLIP, Radford et al. 2021, Fig. 3).

The symmetric loss is open_clip's. Three phases, because coarse is fast and the grid matters as much
as the loss: small pictures (for the embedded ResNet also with its pools in), then the size and
stride the maps are used at, with part of a ViT's patches dropped (FLIP, Li et al. 2023), and a last
stretch with all of them. Embedded CLIPs have seen all 40 names in captions, those that are novel in
a fold too, as real CLIP has seen every name of PASCAL VOC; neither has seen a mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from open_clip.loss import ClipLoss
from open_clip.transformer import PatchDropout
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_resnet import stop_pooling
from fsslib.encoders.clip_small import UNPOOLED
from fsslib.encoders.clip_vit import ClipViT
from fsslib.training.caption_batches import Batch, Batches
from fsslib.training.captioned import Captioned
from fsslib.training.checkpoint import load_checkpoint, save_checkpoint
from fsslib.training.clip_recipe import ClipConfig
from fsslib.training.clip_teacher import adopt_text, look
from fsslib.training.journal import Journal, require_finite

TEXT_RATE = 0.4
"""Learning rate of the text tower, in parts of the image tower's. The pictures
are what is hard; a text tower as fast as they are was measured to learn no sooner."""
_FRESH = {"step": 0, "seconds": 0.0, "losses": [], "pictures": 0}
LARGEST_SCALE = math.log(100)
"""Of the logit scale, as in CLIP: more would make training unstable."""


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
        `seconds` of training, `pictures` seen, the last `loss` (a mean over 25 steps), `settings`.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    encoder.to(device, memory_format=torch.channels_last)
    if teacher is not None:
        adopt_text(encoder, teacher)
    optimizer = _optimizer(encoder, config)
    path, settings = folder / "checkpoint.pt", asdict(config)
    saved = load_checkpoint(path, settings) or dict(_FRESH)
    if saved["step"]:
        encoder.model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        report(f"going on after step {saved['step']} of {config.steps}")
    journal = Journal(folder / "metrics.jsonl", saved["step"])
    start = perf_counter() - saved["seconds"]
    losses, seen = saved["losses"], saved["pictures"]
    encoder.train()
    batches = _batches(config, encoder, pictures, saved["step"], full_size=teacher is not None)
    if not saved["step"] and teacher is None:
        _warm_text(encoder, batches, config, optimizer)
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    loader = DataLoader(
        batches, batch_size=None, num_workers=config.workers, generator=torch.Generator()
    )
    for step, batch in enumerate(loader, saved["step"]):
        _enter_phase(encoder, config, step)
        lr = config.lr_at(step)
        batch = Batch(*(part.to(device) for part in batch))
        facts = _step(encoder, batch, optimizer, config, lr, step, teacher)
        require_finite(step, lr, facts)
        losses, seen = [*losses[-24:], facts.pop("loss")], seen + len(batch.images)
        done, seconds = step + 1, perf_counter() - start
        if done % 25 == 0 or done == config.steps:
            facts |= {"logit_scale": encoder.logit_scale.item(), "lr": lr}
            journal.write(done, loss=_mean(losses), **facts, seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds, "losses": losses, "pictures": seen}
            state = {"model": encoder.model.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(path, saved | state, settings)
            report(f"step {done}/{config.steps}  loss {_mean(losses):.3f}  {seconds:.0f} s")
    _enter_phase(encoder, config, config.steps)
    facts = {"seconds": round(saved["seconds"]), "loss": round(_mean(saved["losses"]), 4)}
    return {**facts, "pictures": saved["pictures"], "settings": settings}


def _mean(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def _warm_text(
    encoder: ClipEncoder, batches: Batches, config: ClipConfig, optimizer: torch.optim.Optimizer
) -> None:
    """Teach the text tower that wordings differ and what they name does not.

    A fresh text tower embeds all captions of a length alike, and what little differs is the
    template. Two captions of one picture are pulled together, others apart: a few seconds, after
    which the image tower has something to aim at.
    """
    device = encoder.logit_scale.device
    for one, other in batches.wordings(config.text_steps):
        texts = [
            F.normalize(encoder.encode_tokens(tokens.to(device)), dim=-1) for tokens in (one, other)
        ]
        loss = ClipLoss()(*texts, encoder.logit_scale.detach())
        _descend(encoder, loss, optimizer, config, config.lr / TEXT_RATE)


def _enter_phase(encoder: ClipEncoder, config: ClipConfig, step: int) -> None:
    """Pools and patch dropout as they should be at `step`; calling it again changes nothing."""
    if config.model == "scenes-clip-rn":
        stop_pooling(encoder.visual, UNPOOLED if config.fine_at(step) else UNPOOLED[-1:])
    if isinstance(encoder, ClipViT):
        share = config.dropout_at(step)
        encoder.visual.patch_dropout = PatchDropout(share) if share else nn.Identity()


def _step(
    encoder: ClipEncoder,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    config: ClipConfig,
    lr: float,
    step: int,
    teacher: ClipEncoder | None,
) -> dict[str, float]:
    """One optimiser step: the contrastive `loss`, its `accuracy` (how often a picture finds its own
    caption), the loss of `naming`, and the `distance` to a teacher, which is all that the coarse
    steps minimise where there is one: the other losses' gradients are many times as large."""
    device = batch.images.device.type
    only_teacher = teacher is not None and step < config.coarse_steps
    terms = {}
    with torch.autocast(
        device, torch.bfloat16, enabled=config.precision == "bf16" and device != "cpu"
    ):
        pooled, distance = look(encoder, batch.images, config.size_at(step), teacher)
        image = F.normalize(pooled.detach() if only_teacher else pooled, dim=-1)
        texts = encoder.encode_tokens(torch.cat([batch.tokens, batch.names]))
        text, names = F.normalize(texts, dim=-1).tensor_split([len(image)])
        terms["loss"] = ClipLoss()(image, text, encoder.logit_scale)
        if len(names):
            terms["naming"] = naming_loss(image, names, batch.shown, encoder.logit_scale)
        if teacher is not None:
            terms["distance"] = distance
    total = torch.stack([terms["distance"]] if only_teacher else list(terms.values())).sum()
    _descend(encoder, total, optimizer, config, lr)
    with torch.no_grad():
        encoder.model.logit_scale.clamp_(0, LARGEST_SCALE)
        found = (image @ text.T).argmax(1).cpu() == torch.arange(len(image))
    return {"accuracy": found.float().mean().item()} | {k: v.item() for k, v in terms.items()}


def naming_loss(
    image: Float[Tensor, "b d"],
    names: Float[Tensor, "classes d"],
    shown: Bool[Tensor, "b classes"],
    scale: Float[Tensor, ""],
    rounds: int = 4,
) -> Float[Tensor, ""]:
    """The same loss between classes and pictures: each class named by itself meets a random picture
    that shows it, in a few `rounds`, so that most objects of a batch have their turn."""
    drawn = torch.multinomial(shown.T.float(), rounds, replacement=True)  # (classes, rounds)
    losses = [ClipLoss()(image[pictures], names, scale) for pictures in drawn.T]
    return torch.stack(losses).mean()


def _descend(
    encoder: ClipEncoder,
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    config: ClipConfig,
    lr: float,
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group["rate"]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(encoder.parameters(), config.clip)
    optimizer.step()


def _optimizer(encoder: ClipEncoder, config: ClipConfig) -> torch.optim.Optimizer:
    """AdamW with CLIP's momenta; gains, biases, positions and the scale do not decay."""
    spared = encoder.model.no_weight_decay()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in encoder.model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim >= 2 and name not in spared
        groups.setdefault((name.startswith("visual."), decays), []).append(parameter)
    options = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "rate": 1.0 if visual else TEXT_RATE,
        }
        for (visual, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, config.lr, betas=(0.9, 0.98), eps=1e-6)


def _batches(
    config: ClipConfig, encoder: ClipEncoder, pictures: Captioned, begin: int, full_size: bool
) -> Batches:
    size = (lambda step: config.size) if full_size else config.size_at
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
