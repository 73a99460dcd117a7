"""Every method in small, for tests that only ask what it does on a device: networks of a few
channels with random weights, pictures of noise.

`cases()` is the table; `build(case)` makes one of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from open_clip import CLIP
from stand_ins import random_episodes, tiny_backbone
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.clip_vit import ClipViT
from fsslib.layers.pyramid import BaseHead
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods import PRIOR_GUIDED, TRAINED, WITH_BASE, WITH_DINOISER, WITH_WORDS, build_method
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.clip_dinoiser import ClipDinoiser
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors
from fsslib.methods.words import WordConfig, WordGuided, WordMasks

SIZE = 32
NAMES = tuple(CLASS_NAMES[:4])
BASE_CLASSES = (1, 3)
PRIORS = ("own", "pi_clip", "none")
SMALL: dict[str, dict[str, Any]] = {
    "pfenet": {"dim": 8, "scales": (1, 0.5)},
    "bam": {"dim": 8, "rates": (1, 2)},
    "hdmnet": {"reduce_dim": 16, "dim": 8, "heads": (1, 2, 2)},
    "asgnet": {"dim": 8, "scales": (1, 0.5), "area_per_seed": 2},
    "lfss": {"dim": 8, "rates": (1, 2), "area_per_seed": 2},
    "qgnet": {"dim": 8, "scales": (1, 0.5)},
}
VARIANTS = ("text", "global_image", "masked_global", "prototype", "centred", "fusion")
VARIANTS += ("correspondence",)


@dataclass(frozen=True)
class Case:
    """A method with all its choices; `variant` is CLIP-DINOiser's, or LFSS's fusion of shots."""

    method: str
    guidance: str = "mask"
    prior: str = "own"
    shot: int = 1
    way: int = 1
    variant: str = ""

    @property
    def trained(self) -> bool:
        return self.method in TRAINED

    def __str__(self) -> str:
        parts = (self.method, self.variant, self.guidance, self.prior, self.shot, self.way)
        return "-".join(str(part) for part in parts if part != "")


def cases() -> Iterator[Case]:
    """Every method x guidance x prior x shot 1 and 5 x way 1 and 2 that exists. Binary methods
    learn from one way and answer two in `OneVersusRest`: `way` is that of the training."""
    for shot in (1, 5):
        for name in TRAINED:
            priors = PRIORS if name in PRIOR_GUIDED else ("own",)
            ways = (1, 2) if name in ("panet", "clip_dinoiser_finetuned") else (1,)
            for prior in priors:
                for way in ways:
                    for guidance in ("mask", "word"):
                        yield Case(name, guidance, prior, shot, way)
        for name in ("all_foreground", "prior_threshold", "prototype", "clip_prior"):
            yield Case(name, "mask", "own", shot)
        yield Case("word_mask", "word", "own", shot)
        for variant in VARIANTS:
            yield Case("clip_dinoiser", "mask", "own", shot, 2, variant)
    yield Case("lfss", "word", "own", 5, 1, "vote")


def build(case: Case) -> FewShotSegmenter:
    """The case's method with random weights, on the CPU."""
    torch.manual_seed(0)
    backbone = tiny_backbone(dilated=case.method != "hsnet")
    parts: dict[str, Any] = {}
    settings = dict(SMALL.get(case.method, {}))
    if case.method in PRIOR_GUIDED:
        settings |= {"prior": case.prior, "shot": case.shot}
    if case.method in WITH_BASE:
        parts["base"] = _base_learner(backbone)
    if case.prior == "pi_clip" or case.method == "clip_prior":
        config = ClipPriorConfig(blocks=2, refine_vvp=case.shot == 5)
        parts["clip"] = ClipPriors(_clip(), config, NAMES)
    if case.method in WITH_WORDS:
        parts["words"] = _words()
    if case.method == "qgnet":
        parts["extractor"] = tiny_backbone(1)
    if case.method in WITH_DINOISER:
        heads = DinoiserHeads(32, 16).requires_grad_(False)
        config = {"size": 48, "global_size": 48, "tap": -2, "templates": "photo", "words": "raw"}
        parts["dinoiser"] = ClipDinoiser(_clip(), heads, DinoiserConfig(**config))
        variant = "finetuned" if case.trained else case.variant
        settings |= {**config, "variant": variant}
    if case.method == "lfss":
        settings |= {"guidance": case.guidance}
        settings |= {"fusion": case.variant} if case.variant else {}
    method = build_method(case.method, backbone, "paper", **parts, **settings)
    guided = case.guidance == "word" and case.method not in WITH_WORDS
    return WordGuided(method, _words()) if guided else method


def episodes(case: Case, batch: int, way: int | None = None, seed: int = 0) -> Episode:
    """Noise, with masks that are squares under a line of 255: seeds want compact objects."""
    way = way or case.way
    noise = random_episodes(batch, case.shot, SIZE, way, seed)
    query_mask, support_masks = torch.zeros_like(noise.query_mask), noise.support_masks * 0
    for number in range(way):
        left = 4 + 12 * number
        query_mask[:, 6:24, left : left + 12] = number + 1
        support_masks[:, number, :, 4:26, left : left + 14] = 1
    query_mask[:, 0] = 255
    names = tuple(NAMES[b % 2 : b % 2 + way] for b in range(batch))
    ids = torch.tensor([[1 + b % 2 + n for n in range(way)] for b in range(batch)])
    return replace(
        noise,
        query_mask=query_mask,
        support_masks=support_masks,
        class_ids=ids,
        class_names=names,
        original_mask=tuple(query_mask.unbind()),
    )


def _base_learner(backbone: Any) -> BaseLearner:
    learner = BaseLearner(backbone, BASE_CLASSES, BaseLearnerConfig(dim=8, train_backbone=False))
    assert isinstance(learner.head, BaseHead)
    return learner


def _words() -> WordMasks:
    return WordMasks(_clip(), NAMES, WordConfig(templates="photo", words="raw", size=48))


def _clip() -> ClipViT:
    vision = {"layers": 4, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 48}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    return ClipViT(CLIP(24, vision, text), _tokens).freeze()


def _tokens(texts: list[str], context_length: int = 8) -> Tensor:
    """Stands in for a tokenizer: a few letters of each text, and the end."""
    rows = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        row[0], row[1], row[2] = len(text) % 60 + 1, ord(text[-2]) % 60 + 1, 63
    return rows
