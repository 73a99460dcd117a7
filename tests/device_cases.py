"""Every method in small, for tests that only ask what it does on a device: networks of a few
channels with random weights, pictures of noise.

`cases()` is the table, made of what the registries hold: who adds a method or a prior has it tested
here. `build(case)` makes one of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, get_args

import torch
from open_clip import CLIP
from stand_ins import random_episodes, tiny_backbone
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.grid_encoders import ClipGrid
from fsslib.encoders.talk2dino import TextToDino
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods import METHODS, PRIORS, PriorSpec, build_method, parts_of
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.build import suitable_preset
from fsslib.methods.clip_dinoiser import ClipDinoiser
from fsslib.methods.clip_dinoiser.config import DinoiserConfig, Variant
from fsslib.methods.mask_makers import build_mask_maker
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors
from fsslib.methods.talk2dino import DinoWords
from fsslib.methods.words import WordConfig, WordGuided, WordMasks

SIZE = 33
NAMES = tuple(CLASS_NAMES[:4])
BASE_CLASSES = (1, 3)
COMBINED = "pi_clip+region"
WITH_WORDS = ("own", "pi_clip")
"""Priors that are tried with masks from words, too: those read the masks."""
NEEDS_BASE = "hdmnet"
"""A prior that reads a base learner's embedding, which not all methods have."""


@dataclass(frozen=True)
class Case:
    """A method with all its choices.

    Attributes:
        settings: changes to the method's preset, as pairs.
        way: of training; binary methods learn from one way.
    """

    method: str
    guidance: str = "mask"
    prior: str = "own"
    shot: int = 1
    way: int = 1
    settings: tuple[tuple[str, Any], ...] = ()

    @cached_property
    def kind(self) -> type[FewShotSegmenter]:
        return METHODS.get(self.method)

    def __str__(self) -> str:
        changes = [str(value) for _, value in self.settings]
        prior = [self.prior] if self.kind.reads_prior else []
        numbers = f"{self.shot}-shot {self.way}-way"
        return " ".join([self.method, *changes, f"{self.guidance}-guided", *prior, numbers])


def cases() -> Iterator[Case]:
    """Every method x guidance x prior x shot 1 and 5 x way 1 and 2 that exists; masks from words
    with some of the priors."""
    for shot in (1, 5):
        for name in METHODS.names():
            kind = METHODS.get(name)
            for prior in _priors(kind):
                for way in (1,) if kind.binary else (1, 2):
                    for guidance in ("mask", "word") if prior in WITH_WORDS else ("mask",):
                        yield Case(name, guidance, prior, shot, way)
        for variant in get_args(Variant):
            if variant != "finetuned":
                yield Case("clip_dinoiser", "mask", "own", shot, 2, (("variant", variant),))
    yield Case("lfss", "word", "own", 5, 1, (("fusion", "vote"),))


def _priors(kind: type[FewShotSegmenter]) -> tuple[str, ...]:
    if not kind.reads_prior:
        return ("own",)
    readable = [name for name in PRIORS.names() if name != NEEDS_BASE or "base" in kind.parts]
    return ("own", *readable, COMBINED)


def learns(case: Case) -> bool:
    """Whether there is a training step; votes over shots have no gradient."""
    return case.kind.trainable and ("fusion", "vote") not in case.settings


def build(case: Case) -> FewShotSegmenter:
    """The case's method with random weights, on the CPU."""
    torch.manual_seed(0)
    kind, backbone = case.kind, tiny_backbone(dilated=case.kind.dilated)
    preset = suitable_preset(kind.config_class, "scenes")
    settings, known = dict(case.settings), {field.name for field in fields(kind.config_class)}
    settings |= {"shot": case.shot} if "shot" in known else {}
    settings |= {"guidance": case.guidance} if "guidance" in known else {}
    needed = parts_of(kind, PriorSpec.parse(case.prior))
    parts = {name: _part(name, backbone) for name in needed if name != "backbone"}
    if kind.reads_prior:
        parts["prior"] = case.prior
    method = build_method(kind, backbone, preset, **parts, **settings)
    replaced = case.guidance == "word" and "words" not in kind.parts
    return WordGuided(method, _part("words", backbone)) if replaced else method


def episodes(case: Case, batch: int, way: int | None = None, seed: int = 0) -> Episode:
    """Noise with masks that are rectangles under a line of 255: seeds want compact objects. The
    classes are the first two in every batch of two or more."""
    way = way or case.way
    noise = random_episodes(batch, case.shot, SIZE, way, seed)
    query_mask, support_masks = torch.zeros_like(noise.query_mask), noise.support_masks * 0
    for number in range(way):
        left = 4 + 12 * number
        query_mask[:, 6:24, left : left + 12] = number + 1
        support_masks[:, number, :, 4:26, left : left + 14] = 1
    query_mask[:, 0] = 255
    classes = [[(b + n) % 2 for n in range(way)] for b in range(batch)]
    return replace(
        noise,
        query_mask=query_mask,
        support_masks=support_masks,
        class_ids=torch.tensor(classes) + 1,
        class_names=tuple(tuple(NAMES[c] for c in row) for row in classes),
        original_mask=tuple(query_mask.clone().unbind()),
    )


def _part(name: str, backbone: Any) -> Any:
    """What a method is built of besides its backbone."""
    if name == "base":
        return BaseLearner(backbone, BASE_CLASSES, BaseLearnerConfig(dim=8, train_backbone=False))
    if name == "clip":
        config = ClipPriorConfig.preset("scenes", blocks=2, refine_vvp=True)
        return ClipPriors(_clip(), config, NAMES)
    if name == "words":
        return WordMasks(_clip(), NAMES, WordConfig.preset("scenes"))
    if name == "dinoiser":
        heads = DinoiserHeads(32, 16).requires_grad_(False)
        return ClipDinoiser(_clip(), heads, DinoiserConfig.preset("scenes"))
    if name == "extractor":
        return tiny_backbone(1)
    if name == "encoder":
        return ClipGrid(_clip(patch=8), "tokens").freeze()  # 16 cells
    if name == "masks":
        return build_mask_maker("clusters")
    if name == "dino_words":
        return DinoWords(_clip(), TextToDino((24, 32)), "plain")
    raise ValueError(f"{name!r}: build this part in small here")


def _clip(patch: int = 16) -> ClipViT:
    vision = {"layers": 4, "width": 32, "head_width": 16, "patch_size": patch, "image_size": 96}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    return ClipViT(CLIP(24, vision, text), _tokens).freeze()


def _tokens(texts: list[str], context_length: int = 8) -> Tensor:
    """Stands in for a tokenizer: a few letters of each text, and the end."""
    rows = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        row[0], row[1], row[2] = len(text) % 60 + 1, ord(text[-2]) % 60 + 1, 63
    return rows
