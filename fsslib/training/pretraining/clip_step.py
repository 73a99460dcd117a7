"""Contrastive pretraining: losses, optimiser, and what changes between phases."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from open_clip.loss import ClipLoss
from open_clip.transformer import PatchDropout
from torch import Tensor, nn

from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_resnet import stop_pooling
from fsslib.encoders.clip_small import UNPOOLED
from fsslib.encoders.clip_vit import ClipViT
from fsslib.fp32 import in_fp32
from fsslib.training.descent import Descent
from fsslib.training.pretraining.caption_batches import Batch, Batches
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.pretraining.clip_teacher import look
from fsslib.training.step import Loss

TEXT_RATE = 0.4
"""Learning rate of the text tower, in parts of the image tower's. The pictures
are what is hard; a text tower as fast as they are was measured to learn no sooner."""
DISTANCE_WEIGHT = 5.0
"""Of the distance to a teacher beside the other losses, whose gradients are five to ten times as
large. They point the same way more than not, and the distance is the less noisy one: it has a
target for every cell."""
LARGEST_SCALE = math.log(100)
"""Of the logit scale, as in CLIP: more would make training unstable."""


def clip_loss(
    encoder: ClipEncoder,
    batch: Batch,
    config: ClipConfig,
    step: int,
    teacher: ClipEncoder | None,
    longest: int | None = None,
) -> Loss:
    """The contrastive `loss`, its `accuracy` (how often a picture finds its own caption), the loss
    of `naming`, and the `distance` to a teacher, which is all that the coarse steps minimise where
    there is one: the other losses' gradients are many times as large.

    Args:
        longest: tokens of the longest caption.
    """
    only_teacher = teacher is not None and step < config.coarse_steps
    pooled, distance = look(encoder, batch.images, config.size_at(step), teacher)
    image = F.normalize(pooled.detach() if only_teacher else pooled, dim=-1)
    texts = encoder.encode_tokens(torch.cat([batch.tokens, batch.names]), longest)
    text, names = F.normalize(texts, dim=-1).tensor_split([len(image)])
    terms = {"loss": ClipLoss()(image, text, encoder.logit_scale)}
    if len(names):
        terms["naming"] = naming_loss(image, names, batch.shown, encoder.logit_scale)
    weighed = {**terms, "distance": DISTANCE_WEIGHT * distance}
    if teacher is not None:
        terms["distance"] = distance
    right = (image.detach() @ text.detach().T).argmax(1)
    accuracy = (right == torch.arange(len(image), device=image.device)).float().mean()
    minimised = {"distance": weighed["distance"]} if only_teacher else weighed
    return Loss(minimised, {"accuracy": accuracy, **terms})


@torch.no_grad()
def limit_scale(encoder: ClipEncoder) -> None:
    """Keep the logit scale where training is stable."""
    encoder.model.logit_scale.clamp_(0, LARGEST_SCALE)


def naming_loss(
    image: Float[Tensor, "b d"],
    names: Float[Tensor, "classes d"],
    shown: Bool[Tensor, "b classes"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """The same loss between pictures and classes named by themselves, where several are right.

    Each right pair is compared with the wrong ones of its row, and of its column: a picture of a
    fox and a bell is no negative of either (cf. UniCL, Yang et al. 2022; supervised contrastive
    learning, Khosla et al. 2020).
    """
    logits = scale * image @ names.T
    return (_right_ones(logits, shown) + _right_ones(logits.T, shown.T)) / 2


@in_fp32
def _right_ones(logits: Tensor, right: Tensor) -> Tensor:
    """Mean of -log softmax over the right entries, each among itself and its row's wrong ones."""
    wrong = logits.masked_fill(right, -1e4).logsumexp(1, keepdim=True)
    # Not `[right].mean()`, which would wait for the device to learn how many there are.
    return (F.softplus(wrong - logits) * right).sum() / right.sum()


def build_clip_optimizer(encoder: ClipEncoder, config: ClipConfig) -> torch.optim.Optimizer:
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


def warm_text(encoder: ClipEncoder, batches: Batches, config: ClipConfig, descent: Descent) -> None:
    """Teach the text tower that wordings differ and what they name does not.

    A fresh text tower embeds all captions of a length alike, and what little differs is the
    template. Two captions of one picture are pulled together, others apart: a few seconds, after
    which the image tower has something to aim at.
    """
    device = encoder.logit_scale.device
    base = config.lr / TEXT_RATE
    rates = [base * group["rate"] for group in descent.optimizer.param_groups]
    for one, other in batches.wordings(config.text_steps):
        texts = [
            F.normalize(encoder.encode_tokens(tokens.to(device)), dim=-1) for tokens in (one, other)
        ]
        loss = ClipLoss()(*texts, encoder.logit_scale.detach())
        descent.down(loss, rates)


def enter_phase(encoder: ClipEncoder, config: ClipConfig, step: int) -> None:
    """Pools and patch dropout as they should be at `step`; calling it again changes nothing."""
    if config.model == "scenes-clip-rn":
        stop_pooling(encoder.visual, UNPOOLED if config.fine_at(step) else UNPOOLED[-1:])
    if isinstance(encoder, ClipViT):
        share = config.dropout_at(step)
        encoder.visual.patch_dropout = PatchDropout(share) if share else nn.Identity()
