"""From a run's parameters to its method: every part that the method and its prior declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit
from fsslib.encoders import build_backbone
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.grid_encoders import build_grid_encoder
from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.talk2dino import load_text_map
from fsslib.encoders.weights import read_state
from fsslib.files import data_root
from fsslib.interop.heads import brought_parts, load_head, untrained_base
from fsslib.interop.official import load_official
from fsslib.methods import FewShotSegmenter, build_prior
from fsslib.methods.base import PriorExtractor
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.build import build_of
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import ClipDinoiser, load_heads
from fsslib.methods.clip_dinoiser.teachers import DinoClip, load_teachers
from fsslib.methods.mask_makers import MaskMaker, build_mask_maker
from fsslib.methods.n_way import any_way
from fsslib.methods.pi_clip import ClipPriors
from fsslib.methods.shipped import base_path, dinoiser_path, load_base_learner
from fsslib.methods.talk2dino import DinoWords
from fsslib.methods.words import WordGuided, WordMasks
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.heads import head_path, require_encoders, require_learner, require_unseen
from fsslib.runs.networks import ClipWeights


@dataclass
class Workshop:
    """What parts are made of: a run's parameters, its benchmark and protocol, a cache."""

    config: EvaluateConfig
    benchmark: Benchmark
    protocol: Protocol
    cache: Cache
    backbone: StageBackbone | None = None

    def clip_priors(self) -> ClipPriors:
        """PI-CLIP's priors, with the benchmark's names. Positions of a ViT are resized as in the
        released code; those of the embedded one as in its training."""
        chosen = self.config.clip_weights_of("clip")
        positions = "bicubic" if chosen.name in SMALL_CLIPS else "bilinear"
        encoder = chosen.load(positions)
        settings, names = self.config.clip_prior_settings, self.benchmark.class_names
        return ClipPriors(encoder, settings, names, self.cache)

    def word_masks(self) -> WordMasks:
        """Masks from words, with the benchmark's names."""
        chosen, settings = self.config.clip_weights_of("words"), self.config.word_settings
        encoder, benchmark = chosen.load(), self.protocol.benchmark
        return WordMasks(encoder, self.benchmark.class_names, settings, benchmark, self.cache)

    def dinoiser(self) -> ClipDinoiser:
        chosen, heads = self.config.clip_weights_of("dinoiser"), self.config.trained_parts.heads
        settings = self.config.method_settings
        return clip_dinoiser(chosen, heads, settings, self.cache)

    def stage_backbone(self) -> StageBackbone:
        chosen = self.config.backbone_weights
        requested, usual = chosen.dilated, self.config.method_class.dilated
        dilated = usual if requested is None else requested
        self.backbone = build_backbone(chosen.name, chosen.weights, dilated=dilated)
        return self.backbone.remember(self.cache)

    def grid_encoder(self) -> GridEncoder:
        chosen = self.config.encoder_settings
        read = (chosen.facet, chosen.block, chosen.norm, chosen.attention)
        return build_grid_encoder(chosen.name, chosen.weights, *read).remember(self.cache)

    def mask_maker(self) -> MaskMaker:
        return build_mask_maker(self.config.trained_parts.masks)

    def dino_words(self) -> DinoWords:
        self.config.trained_parts.require_text_map()
        text_map = load_text_map(self.config.trained_parts.text_map)
        return DinoWords(self.config.clip_weights_of("dino_words").load(), text_map)

    def prior_extractor(self) -> StageBackbone:
        chosen = self.config.trained_parts.prior_extractor
        return build_backbone(chosen.name, chosen.weights).remember(self.cache)

    def base_learner(self) -> BaseLearner:
        """From a file of `train_base`, or one that BAM's authors publish; an official head brings
        its own.

        Raises:
            ConfigError: one that knows other classes than the run trains on, or learned on another
                backbone or other weights.
        """
        config, base = self.config, self.config.trained_parts.base
        classes = ClassSplit.of(self.benchmark, self.protocol).train
        if config.head is not None and "base" in brought_parts(head_path(config)):
            return untrained_base(self.backbone, classes, head_path(config))
        path = base_path(config.fold) if base == "shipped" else Path(base)
        require_learner(config, path)
        if "class_ids" not in read_state(path):
            settings = BaseLearnerConfig.preset(_learner_preset(config.preset))
            learner = BaseLearner(self.backbone.copied(), classes, settings)
            load_official(learner, path)  # which brings a backbone of its own
            return learner.freeze()
        learner = load_base_learner(self.backbone, path, _learner_preset(config.preset))
        if tuple(learner.class_ids.tolist()) != classes:
            raise ConfigError(
                f"base={base!r} knows other classes than fold {config.fold} with held_out="
                f"{self.protocol.held_out} trains on; make one with train_base"
            )
        return learner


BEFORE_SEED: dict[Any, Callable[[Workshop], Any]] = {
    ClipPriors: Workshop.clip_priors,
    WordMasks: Workshop.word_masks,
    ClipDinoiser: Workshop.dinoiser,
    GridEncoder: Workshop.grid_encoder,
    MaskMaker: Workshop.mask_maker,
    DinoWords: Workshop.dino_words,
}
"""Who makes parts of a type. These draw random numbers, which nothing later may depend on."""
AFTER_SEED: dict[Any, Callable[[Workshop], Any]] = {
    StageBackbone: Workshop.stage_backbone,
    BaseLearner: Workshop.base_learner,
    PriorExtractor: Workshop.prior_extractor,
}


def assemble(
    config: EvaluateConfig, benchmark: Benchmark, protocol: Protocol, cache: Cache
) -> FewShotSegmenter:
    """The method on the CPU, with its trained head if the config names one.

    Its own weights are drawn after the seed is set, and after CLIP is built: they are equal for
    equal configs, whatever a CLIP draws.

    Raises:
        ConfigError: a part of a type that runs cannot make.
    """
    workshop, types = Workshop(config, benchmark, protocol, cache), config.part_types
    known = BEFORE_SEED.keys() | AFTER_SEED.keys()
    if foreign := [name for name, kind in types.items() if kind not in known]:
        names = sorted(getattr(kind, "__name__", str(kind)) for kind in known)
        raise ConfigError(
            f"method={config.label!r} needs {foreign[0]}=, which runs cannot make; they make parts "
            f"of the types {names}: build others inside of the method"
        )
    made: dict[str, Any] = {}
    for makers in (BEFORE_SEED, AFTER_SEED):
        if makers is AFTER_SEED:
            torch.manual_seed(getattr(config, "seed", 0))
        for kind, make in makers.items():
            for name in (name for name, part_kind in types.items() if part_kind is kind):
                made[name] = make(workshop)
    kind = config.method_class
    prior = build_prior(config.prior_spec, kind, made, config.preset) if kind.reads_prior else None
    method = build_of(kind, config.method_settings, made, prior)
    if config.word_guided:
        method = WordGuided(method, made["words"])
    if config.head is not None:
        require_unseen(config, protocol)
        require_encoders(config)
        load_head(method, head_path(config))
    return any_way(method, protocol.way)


def _learner_preset(preset: str) -> str:
    """The base learner's preset that goes with a method's."""
    return preset if preset in BaseLearnerConfig.presets() else "paper"


def encoder_cache(gigabytes: int, megabytes: int = 0) -> Cache:
    """On disk under the data root, or else in memory; of nothing by default."""
    if gigabytes:
        return DiskCache(data_root() / "features", gigabytes * 2**30)
    return PassCache(megabytes * 2**20)


def clip_dinoiser(
    chosen: ClipWeights, heads: str, settings: DinoiserConfig, cache: Cache
) -> ClipDinoiser:
    """CLIP with trained heads, or with the teachers that they learn from."""
    encoder = chosen.load()
    if heads == "teachers":
        return DinoClip(encoder, load_teachers(chosen.name), settings, cache)
    path = dinoiser_path() if heads == "shipped" else Path(heads)
    return ClipDinoiser(encoder, load_heads(path, encoder.width), settings, cache)
