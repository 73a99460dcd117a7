"""MoCo-v2 with QGNet's two branches: pictures, and superpixel patches (its Eqs 1 and 6).

One step in the official order: queries; the key encoder follows; keys; logits against the queue as
it was; the keys enter the queue. The optimiser comes after. Pictures and patches are passes of
their own, since they differ in size, and BatchNorm's statistics are those of a pass.
"""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fsslib.encoders.backbones import BACKBONES
from fsslib.encoders.stages import IMAGENET_MEAN, StageBackbone
from fsslib.layers.prototype import masked_average
from fsslib.settings import Precision
from fsslib.training.precision import autocast
from fsslib.training.pretraining.contrast import (
    KeyQueue,
    contrast_logits,
    follow,
    info_nce_of_known,
    retrieval_accuracy,
)
from fsslib.training.pretraining.moco_batches import Batch, Patches, Pools
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.pretraining.split_norm import split_batch_norm
from fsslib.training.views import Views, crop, recolour


class ContrastEncoder(nn.Module):
    """A backbone and MoCo-v2's head (two linear layers) on means of layer4.

    Args:
        separate: a head for each branch, instead of one for both.
        precision: of the backbone; all else is fp32.
    """

    def __init__(
        self, backbone: StageBackbone, dim: int, separate: bool, precision: Precision
    ) -> None:
        super().__init__()
        self.backbone, self.precision = backbone, precision
        width = backbone.channels[2]
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
                for name in (("global", "local") if separate else ("global",))
            }
        )

    def features(self, views: Tensor) -> Tensor:
        """layer4 (n, c, h, w) of views (n, 3, s, s) in 0..1."""
        inputs = (views - self.backbone.mean) / self.backbone.std
        with autocast(self.precision, views.device):
            return self.backbone.stages(inputs).layer4.float()

    def embed(self, means: Tensor, branch: str) -> Tensor:
        """Unit vectors (n, dim) of mean features (n, c)."""
        head = self.heads[branch if branch in self.heads else "global"]
        return F.normalize(head(means), dim=1)


class Contrast(NamedTuple):
    """One branch's logits (n, 1 + K …), and the rows that have a positive."""

    logits: Tensor
    known: Tensor


class Moco(nn.Module):
    """Both encoders, and a queue for every branch.

    Args:
        lengths: of the queues, by branch.
    """

    def __init__(self, config: MocoConfig, lengths: dict[str, int]) -> None:
        super().__init__()
        backbone = BACKBONES[config.backbone](**_undilated(config.backbone))
        encoder = ContrastEncoder(backbone, config.dim, config.separate_heads, config.precision)
        self.config, self.query = config, split_batch_norm(encoder, config.bn_splits)
        self.key = deepcopy(self.query).requires_grad_(False)
        # No gradients, yet statistics of its own batches.
        self.key.backbone = self.query.backbone.copied(moving_statistics=True)
        self.queues = nn.ModuleDict(
            {branch: KeyQueue(config.dim, length) for branch, length in lengths.items()}
        )

    def forward(self, batch: Batch) -> dict[str, Contrast]:
        """Logits of every branch; afterwards the keys are in the queues."""
        pictures, config = batch.pictures.float() / 255, self.config
        queries = self._embed(self.query, pictures, batch, "query")
        with torch.no_grad():
            follow(self.key, self.query, config.momentum, config.copy_buffers)
            keys = self._embed(self.key, pictures, batch, "key")
        contrasts = {}
        for branch, queue in self.queues.items():
            contrasts[branch] = self._contrast(branch, queries[branch], keys[branch], batch)
            queue.enqueue(keys[branch])
        return contrasts

    def loss(self, contrasts: dict[str, Contrast]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each branch's loss and shares of positives that are the most
        similar key (`accuracy`) or among five (`top5`)."""
        weights = {"global": self.config.global_weight, "local": self.config.local_weight}
        total, facts = 0.0, {}
        for branch, (logits, known) in contrasts.items():
            value = info_nce_of_known(logits, known)
            total = total + weights[branch] * value
            facts[f"{branch}_loss"] = value
            facts[f"{branch}_accuracy"] = retrieval_accuracy(logits, 1, known)
            facts[f"{branch}_top5"] = retrieval_accuracy(logits, 5, known)
        if self.config.masked_pool and "local" in contrasts:
            facts["matched"] = contrasts["local"].known.float().mean()
        return total, facts

    def backbone_state(self, which: str) -> dict[str, Tensor]:
        """The query or the key encoder's backbone, without its head."""
        return (self.query if which == "query" else self.key).backbone.state_dict()

    def _contrast(self, branch: str, queries: Tensor, keys: Tensor, batch: Batch) -> Contrast:
        config = self.config
        local = batch.pools if config.masked_pool else batch.patches
        temperature, extra = config.temperature, None
        known = torch.ones(len(queries), dtype=torch.bool, device=queries.device)
        if branch == "local":
            temperature = config.local_temperature
            known = local.known if config.masked_pool else known
            if config.same_image_negatives:
                extra = neighbours(queries, keys, local.segments, config.patches)
        # The queue is overwritten before the gradients are computed, hence the copy.
        negatives = self.queues[branch].keys.clone()
        return Contrast(contrast_logits(queries, keys, negatives, temperature, extra), known)

    def _embed(
        self, encoder: ContrastEncoder, pictures: Tensor, batch: Batch, side: str
    ) -> dict[str, Tensor]:
        """Unit vectors of one side ("query" or "key") for every branch."""
        embeddings = {}
        if "global" in self.queues or batch.pools is not None:
            everyone = torch.arange(len(pictures), device=pictures.device)
            views = made(pictures, everyone, getattr(batch, side), self.config.size)
            layer4 = passed(encoder, views, batch.shuffle if side == "key" else None)
            if "global" in self.queues:
                embeddings["global"] = encoder.embed(layer4.mean((-2, -1)), "global")
            if batch.pools is not None:
                embeddings["local"] = encoder.embed(pooled(layer4, batch.pools, side), "local")
        if batch.patches is not None:
            views = patch_views(pictures, batch.patches, side, self.config.local_size)
            layer4 = passed(encoder, views, batch.patches.shuffle if side == "key" else None)
            embeddings["local"] = encoder.embed(layer4.mean((-2, -1)), "local")
        return embeddings


def made(pictures: Tensor, owners: Tensor, views: Views, size: int) -> Tensor:
    """Views (n, 3, size, size) in 0..1."""
    return recolour(crop(pictures, owners, views.boxes, size), views)


def patch_views(pictures: Tensor, patches: Patches, side: str, size: int) -> Tensor:
    """Views of patches; what is not of the segment becomes the mean colour if masks are given."""
    views, owners = getattr(patches, side), patches.owners
    if patches.inside is not None:
        mean = torch.tensor(IMAGENET_MEAN, device=pictures.device).view(3, 1, 1)
        pictures = torch.where(patches.inside[:, None], pictures[owners], mean)
        owners = torch.arange(len(owners), device=owners.device)
    return made(pictures, owners, views, size)


def passed(encoder: ContrastEncoder, views: Tensor, order: Tensor | None) -> Tensor:
    """layer4 of the views, which went through in another order if one is given."""
    if order is None:
        return encoder.features(views)
    return encoder.features(views[order])[order.argsort()]


def pooled(layer4: Tensor, pools: Pools, side: str) -> Tensor:
    """Mean features (n, c) under the segments' masks, on the masks' grid (bilinear)."""
    masks = getattr(pools, side)[:, None]
    fine = F.interpolate(layer4, masks.shape[-2:], mode="bilinear", align_corners=False)
    return masked_average(fine[pools.owners], masks).flatten(1)


def neighbours(queries: Tensor, keys: Tensor, segments: Tensor, patches: int) -> Tensor:
    """Similarity of each query to the keys of its picture's patches, (n, P).

    -inf where it is the same segment: with itself, and where a picture has too few.
    """
    parts = [rearrange(t, "(b p) d -> b p d", p=patches) for t in (queries, keys)]
    ids = rearrange(segments, "(b p) -> b p", p=patches)
    same = ids[:, :, None] == ids[:, None]
    similarity = (parts[0] @ parts[1].mT).masked_fill(same, -torch.inf)
    return similarity.flatten(0, 1)


def _undilated(backbone: str) -> dict[str, bool]:
    """VGGs have no dilation to be left out."""
    return {} if backbone.startswith("vgg") else {"dilated": False}
