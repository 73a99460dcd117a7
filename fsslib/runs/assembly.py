"""From a run's parameters to its method: every encoder and part that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit
from fsslib.encoders import build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.weights import card_beside, read_state
from fsslib.files import data_root
from fsslib.interop.official import load_official
from fsslib.methods import (
    UNDILATED,
    WITH_BASE,
    WITH_DINOISER,
    WITH_WORDS,
    FewShotSegmenter,
    build_method,
)
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.dinoiser import ClipDinoiser, load_heads
from fsslib.methods.dinoiser_teachers import DinoClip, load_teachers
from fsslib.methods.n_way import any_way
from fsslib.methods.pi_clip import ClipPriors
from fsslib.methods.shipped import base_path, dinoiser_path, load_base_learner, shipped_path
from fsslib.methods.words import WordGuided, WordMasks
from fsslib.runs.config import PATHS
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.unlabelled_config import ZeroShotRunConfig


def assemble(
    config: EvaluateConfig, benchmark: Benchmark, protocol: Protocol, cache: Cache
) -> FewShotSegmenter:
    """The method on the CPU, with its trained head if the config names one.

    Its own weights are drawn after the seed is set, and after CLIP is built: they are equal for
    equal configs, whatever a CLIP draws.
    """
    name = config.method
    clip = clip_priors(config, benchmark, cache) if config.reads_clip else None
    words = word_masks(config, benchmark, cache) if config.reads_words else None
    dinoiser = clip_dinoiser(config, cache) if name in WITH_DINOISER else None
    torch.manual_seed(getattr(config, "seed", 0))
    backbone = build_backbone(config.backbone, config.weights, dilated=name not in UNDILATED)
    parts: dict[str, Any] = {"clip": clip, "words": words, "dinoiser": dinoiser}
    if name in WITH_BASE:
        parts["base"] = base_learner(config, benchmark, protocol, backbone)
    backbone.remember(cache)
    if name == "qgnet":
        extractor = build_backbone(config.extractor, config.extractor_weights)
        parts["extractor"] = extractor.remember(cache)
    method = build_method(name, backbone, config.preset, **parts, **config.method_settings())
    if config.guidance == "word" and name not in WITH_WORDS:
        method = WordGuided(method, words)
    if config.head is not None:
        require_unseen(config, protocol)
        require_encoders(config)
        method.load_head_state(read_state(head_path(config)))
    return any_way(method, protocol.way)


def head_path(config: EvaluateConfig) -> Path:
    """The trained head that `config.head` names."""
    prior = "" if config.prior == "own" else f"+{config.prior}"
    shipped = config.head == "shipped"
    return shipped_path(config.fold, config.method + prior) if shipped else Path(config.head)


def head_card(config: EvaluateConfig) -> dict[str, Any]:
    """How the head was trained, as the card beside it says; empty without head or card."""
    return {} if config.head is None else card_beside(head_path(config))


def require_unseen(config: EvaluateConfig, protocol: Protocol) -> None:
    """ConfigError for a head whose card says that it was trained on this test's classes."""
    trained = head_card(config).get("protocol", {})
    if trained.get("benchmark") != protocol.benchmark:
        return  # other classes altogether, or nobody knows
    for name in ("fold", "coco_folds"):
        if trained[name] != getattr(protocol, name):
            raise ConfigError(
                f"head={config.head!r} was trained with {name}={trained[name]!r}, and classes of "
                f"{name}={getattr(protocol, name)!r} are no novel ones for it; give its own"
            )


def require_encoders(config: EvaluateConfig) -> None:
    """ConfigError for a head whose card names other encoders than it would now be put on."""
    read = ["backbone", "weights"]
    read += ["extractor", "extractor_weights"] if config.method == "qgnet" else []
    read += ["clip_model", "clip_weights"] if config.reads_clip or config.reads_words else []
    _require_read(config, f"head={config.head!r}", head_card(config), read)


def _require_read(config: EvaluateConfig, what: str, card: dict[str, Any], read: list[str]) -> None:
    """ConfigError unless the parameters `read` are those that `card` tells of."""
    trained = card.get("config", {})
    for name in read:
        then, now = (
            Path(value).name if name in PATHS and value is not None else value
            for value in (trained.get(name), getattr(config, name))
        )
        if name in trained and then != now:
            raise ConfigError(
                f"{what} was trained with {name}={then!r} and reads nothing else; got "
                f"{name}={now!r}"
            )


def encoder_cache(gigabytes: int, megabytes: int = 0) -> Cache:
    """On disk under the data root, or else in memory; of nothing by default."""
    if gigabytes:
        return DiskCache(data_root() / "features", gigabytes * 2**30)
    return PassCache(megabytes * 2**20)


def clip_dinoiser(config: EvaluateConfig | ZeroShotRunConfig, cache: Cache) -> ClipDinoiser:
    """CLIP with trained heads, or with the teachers that they learn from."""
    name = config.clip_model or "scenes-clip-vit"
    encoder, settings = load_clip(name, config.clip_weights), config.dinoiser()
    if config.heads == "teachers":
        return DinoClip(encoder, load_teachers(name), settings, cache)
    path = dinoiser_path() if config.heads == "shipped" else Path(config.heads)
    return ClipDinoiser(encoder, load_heads(path, encoder.width), settings, cache)


def clip_priors(config: EvaluateConfig, benchmark: Benchmark, cache: Cache) -> ClipPriors:
    """PI-CLIP's priors, with the benchmark's names. Positions of a ViT are resized as in the
    released code; those of the embedded one as in its training."""
    name = config.clip_model or "scenes-clip-vit"
    positions = "bicubic" if name in SMALL_CLIPS else "bilinear"
    encoder = load_clip(name, config.clip_weights, positions)
    return ClipPriors(encoder, config.clip_priors(), benchmark.class_names, cache)


def word_masks(config: EvaluateConfig, benchmark: Benchmark, cache: Cache) -> WordMasks:
    """LFSS's masks from words, with the benchmark's names."""
    encoder = load_clip(config.clip_model or "scenes-clip-rn", config.clip_weights)
    settings = config.word_masks()
    return WordMasks(encoder, benchmark.class_names, settings, config.benchmark, cache)


def base_learner(
    config: EvaluateConfig, benchmark: Benchmark, protocol: Protocol, backbone: StageBackbone
) -> BaseLearner:
    """From a file of `train_base`, or one that BAM's authors publish.

    Raises:
        ConfigError: one that knows other classes than the run trains on, or learned on another
            backbone or other weights.
    """
    classes = ClassSplit.of(benchmark, protocol).train
    path = base_path(config.fold) if config.base == "shipped" else Path(config.base)
    _require_read(config, f"base={config.base!r}", card_beside(path), ["backbone", "weights"])
    if "class_ids" not in read_state(path):
        learner = BaseLearner(backbone, classes, BaseLearnerConfig.preset(config.preset))
        load_official(learner, path)
        return learner.requires_grad_(False).eval()
    learner = load_base_learner(backbone, path, config.preset)
    if tuple(learner.class_ids.tolist()) != classes:
        raise ConfigError(
            f"base={config.base!r} knows other classes than fold {config.fold} with "
            f"held_out={protocol.held_out} trains on; make one with train_base"
        )
    return learner
