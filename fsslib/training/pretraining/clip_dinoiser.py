"""Training of CLIP-DINOiser's heads: DINO says what belongs together, FOUND what is salient.

No label and no mask of anything. Cosines are fed to a sigmoid as they are, so that a cell that
belongs has at most sigmoid(1) = 0.731 and one that does not at least 0.5: the loss has a floor. The
journal keeps what lies above it, or the training would look stalled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from fsslib.encoders.clip_vit import ClipViT
from fsslib.fp32 import in_fp32
from fsslib.layers.weighted_pooling import DinoiserHeads, correlate
from fsslib.methods.clip_dinoiser.teachers import Teachers
from fsslib.training.engine import Engine
from fsslib.training.journal import read_journal
from fsslib.training.parts import batch_loader
from fsslib.training.plan import Plan
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.crops import Crops, Pictures
from fsslib.training.step import Loss

Losses = dict[str, Float[Tensor, ""]]


@in_fp32
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
    config: DinoiserTraining,
    precision: Callable[[], torch.autocast] = nullcontext,
) -> Loss:
    """Both losses, and what the journal says of the targets. Half precision is for CLIP, which is
    frozen, only: targets are thresholds, and losses differ in small parts."""
    with torch.no_grad(), precision():
        tapped, _ = encoder.tapped_and_dense(images, tap=config.tap)
    together, salient = targets(teachers, images, tuple(tapped.shape[-2:]), config.gamma)
    losses = head_losses(heads, tapped.float(), together, salient)
    floor = correlation_floor(together)
    facts = {
        "floor": floor,
        "above_floor": losses["correlation"] - floor,
        "together": together.mean(),
        "salient": salient.mean(),
    }
    return Loss(losses, losses | facts)


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
    engine = _engine(heads, config, folder, device, report)

    def loader(begin: int) -> DataLoader:
        crops = Crops(
            pictures,
            config.size,
            config.batch_size,
            config.steps,
            config.seed,
            config.brightness,
            begin,
        )
        return batch_loader(
            crops, engine.parts_per_step, config.workers, device, torch.chunk, engine.share
        )

    for step in engine.steps(loader):
        step.learn(lambda images: learn(heads, encoder, teachers, images, config, engine.autocast))
    last = engine.state["facts"]
    facts = {"seconds": round(engine.state["seconds"]), "pictures": len(pictures)}
    facts |= {name: round(last[name], 5) for name in ("loss", "above_floor")}
    rows = read_journal(folder / "metrics.jsonl")
    facts |= {"training": asdict(config), "salient": mean(row["salient"] for row in rows)}
    if config.balanced:
        balance(heads, facts["salient"])
    return heads.requires_grad_(False).eval(), facts


def _engine(
    heads: DinoiserHeads,
    config: DinoiserTraining,
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
        log_every=20,
        smooth=(("loss", "above_floor"), 20),
    )
    optimizer, parts = build_heads_optimizer(heads, config), {"heads": heads}
    settings = asdict(config)
    return Engine(plan, folder, settings, parts, optimizer, config.rates_at, device, report=report)


@torch.no_grad()
def balance(heads: DinoiserHeads, share: float) -> None:
    """Let `bkg_decoder` answer as if half of all cells had been salient in training, and not
    `share` of them: the log-odds move by those of the share (logit adjustment, Menon et al., ICLR
    2021)."""
    heads.bkg_decoder.bias -= torch.tensor(share).logit(eps=1e-6).item()
