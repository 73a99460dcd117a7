"""Training of CLIP-DINOiser's heads: DINO says what belongs together, FOUND what is salient.

No label and no mask of anything. Cosines are fed to a sigmoid as they are, so that a cell that
belongs has at most sigmoid(1) = 0.731 and one that does not at least 0.5: the loss has a floor. The
journal keeps what lies above it, or the training would look stalled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from fsslib.encoders.clip_vit import ClipViT
from fsslib.layers.weighted_pooling import DinoiserHeads, correlate
from fsslib.methods.clip_dinoiser.teachers import Teachers
from fsslib.training.checkpoint import go_on, save_checkpoint
from fsslib.training.journal import Journal, read_journal, require_finite
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.crops import Crops, Pictures

Losses = dict[str, Float[Tensor, ""]]


def head_losses(
    heads: DinoiserHeads,
    tapped: Float[Tensor, "b c h w"],
    together: Float[Tensor, "b n h w"],
    salient: Float[Tensor, "b 1 h w"],
) -> Losses:
    """`correlation` and `saliency`, weighed alike; binary cross-entropies over all cells.

    Args:
        together: 1 where DINO's cosine reaches gamma.
        salient: 1 where FOUND sees foreground.
    """
    return {
        "correlation": correlation_loss(correlate(heads.embed(tapped)), together),
        "saliency": F.binary_cross_entropy_with_logits(heads.saliency(tapped), salient),
    }


def correlation_loss(
    correlations: Float[Tensor, "b n h w"], together: Float[Tensor, "b n h w"]
) -> Float[Tensor, ""]:
    """Cosines are the logits; negative ones count as 0 and get no gradient."""
    return F.binary_cross_entropy_with_logits(correlations.clamp_min(0), together)


def correlation_floor(together: Float[Tensor, "b n h w"]) -> Float[Tensor, ""]:
    """The least `correlation_loss` can be: 0.3133 p + 0.6931 (1 - p), p the share of ones."""
    return F.binary_cross_entropy_with_logits(together, together)


@torch.no_grad()
def targets(
    teachers: Teachers, images: Tensor, grid: tuple[int, int], gamma: float
) -> tuple[Float[Tensor, "b n h w"], Float[Tensor, "b 1 h w"]]:
    """What DINO and FOUND say of crops, as 0 and 1."""
    embedding = teachers.embed(images)
    if embedding.shape[-2:] != grid:
        raise ValueError(
            f"{teachers.dino.name} sees {tuple(embedding.shape[-2:])} cells, CLIP {grid}: choose a "
            "DINO of the CLIP's patch size, and crops of whole patches"
        )
    salient = teachers.saliency_on(images, grid) > 0.5
    return (correlate(embedding) >= gamma).float(), salient.float()


def build_heads_optimizer(heads: DinoiserHeads, config: DinoiserTraining) -> torch.optim.Optimizer:
    """AdamW with a group for each head."""
    groups = [
        {"params": list(head.parameters()), "lr": lr}
        for head, lr in zip((heads.obj_proj, heads.bkg_decoder), config.rates_at(0), strict=True)
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def learn(
    heads: DinoiserHeads,
    encoder: ClipViT,
    teachers: Teachers,
    images: UInt8[Tensor, "b 3 h w"],
    optimizer: torch.optim.Optimizer,
    config: DinoiserTraining,
    step: int,
) -> dict[str, float]:
    """One step; returns both losses, their sum, and what the journal says of the targets."""
    with torch.no_grad():
        tapped, _ = encoder.tapped_and_dense(images, tap=config.tap)
    together, salient = targets(teachers, images, tuple(tapped.shape[-2:]), config.gamma)
    losses = head_losses(heads, tapped, together, salient)
    facts = {name: value.item() for name, value in losses.items()}
    require_finite(step, config.rates_at(step)[0], facts)
    descend(losses, optimizer, config, step)
    floor = correlation_floor(together).item()
    return facts | {
        "loss": sum(facts.values()),
        "floor": floor,
        "above_floor": facts["correlation"] - floor,
        "together": together.mean().item(),
        "salient": salient.mean().item(),
    }


def descend(
    losses: Losses, optimizer: torch.optim.Optimizer, config: DinoiserTraining, step: int
) -> None:
    """One step down the sum of the losses."""
    for group, lr in zip(optimizer.param_groups, config.rates_at(step), strict=True):
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def train_heads(
    config: DinoiserTraining,
    encoder: ClipViT,
    teachers: Teachers,
    pictures: Pictures,
    folder: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> tuple[DinoiserHeads, dict[str, Any]]:
    """Train until `config.steps`, from `folder/checkpoint.pt` if there is one.

    Returns:
        The heads, and the card's facts: `seconds`, `pictures`, the last `loss` and `above_floor`
        (of its correlations), both means over 20 steps, and `salient`, the mean share of cells that
        the teacher calls so.

    Raises:
        TrainingDiverged: a loss that is not finite. CheckpointError: a folder of another run.
    """
    torch.manual_seed(config.seed)
    encoder, teachers = encoder.to(device), teachers.to(device)
    heads = DinoiserHeads(encoder.width, config.channels, config.kernel).to(device)
    optimizer, path = build_heads_optimizer(heads, config), folder / "checkpoint.pt"
    parts = {"heads": heads, "optimizer": optimizer}
    fresh = {"step": 0, "seconds": 0.0, "recent": []}
    saved = go_on(path, asdict(config), fresh, parts)
    if saved["step"]:
        report(f"going on after step {saved['step']} of {config.steps}")
    journal, start = Journal(folder / "metrics.jsonl", saved["step"]), perf_counter()
    start, recent = start - saved["seconds"], saved["recent"]
    for step, images in enumerate(_loader(config, pictures, saved["step"]), saved["step"]):
        facts = learn(heads, encoder, teachers, images.to(device), optimizer, config, step)
        recent = [*recent[-19:], [facts["loss"], facts["above_floor"]]]
        done, seconds = step + 1, perf_counter() - start
        loss, above = _means(recent)
        if done % 20 == 0 or done == config.steps:
            facts |= {"loss": loss, "above_floor": above}
            journal.write(done, **facts, seconds=seconds)
        if done % config.checkpoint_every == 0 or done == config.steps:
            saved = {"step": done, "seconds": seconds, "recent": recent}
            save_checkpoint(path, saved, asdict(config), parts)
            report(f"step {done}/{config.steps}  loss {loss:.4f}  above floor {above:.4f}")
    loss, above = _means(saved["recent"])
    facts = {"seconds": round(saved["seconds"]), "pictures": len(pictures)}
    facts |= {"loss": round(loss, 5), "above_floor": round(above, 5), "training": asdict(config)}
    facts["salient"] = share = mean(row["salient"] for row in read_journal(journal.path))
    if config.balanced:
        balance(heads, share)
    return heads.requires_grad_(False).eval(), facts


@torch.no_grad()
def balance(heads: DinoiserHeads, share: float) -> None:
    """Let `bkg_decoder` answer as if half of all cells had been salient in training, and not
    `share` of them: the log-odds move by those of the share (logit adjustment, Menon et al., ICLR
    2021)."""
    heads.bkg_decoder.bias -= torch.tensor(share).logit(eps=1e-6).item()


def _means(recent: list[list[float]]) -> list[float]:
    return [sum(column) / len(recent) for column in zip(*recent, strict=True)]


def _loader(config: DinoiserTraining, pictures: Pictures, begin: int) -> DataLoader:
    crops = Crops(
        pictures,
        config.size,
        config.batch_size,
        config.steps,
        config.seed,
        config.brightness,
        begin,
    )
    # Its own generator: a DataLoader would otherwise draw from torch's and break exact resuming.
    return DataLoader(
        crops, batch_size=None, num_workers=config.workers, generator=torch.Generator()
    )
