"""What the run templates call, in their order: prepare, train, evaluate, write."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.loading import TrainingEpisodes
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit, EpisodeSampler, EpisodeSpec, test_episodes
from fsslib.data.transforms import Augmentation
from fsslib.encoders import build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.weights import read_state
from fsslib.evaluation.evaluator import Scores, evaluate
from fsslib.files import data_root, write_json
from fsslib.interop.official import load_official
from fsslib.methods import (
    BASELINES,
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
from fsslib.methods.n_way import OneVersusRest, any_way
from fsslib.methods.pi_clip import ClipPriors
from fsslib.methods.shipped import (
    base_path,
    dinoiser_path,
    load_base_learner,
    save_head,
    shipped_path,
)
from fsslib.methods.words import WordGuided, WordMasks
from fsslib.runs.config import PATHS
from fsslib.runs.machine import environment, pick_device
from fsslib.runs.method_config import EvaluateConfig, TrainRunConfig
from fsslib.training.loop import train


class Experiment:
    """One run: the benchmark, the method and the folder that its results go to."""

    def __init__(self, config: EvaluateConfig, folder: Path | str) -> None:
        self.config, self.folder = config, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.protocol, self.device = config.protocol(), pick_device(config.device)
        if self.device == "cpu":
            # Two threads on a busy two-core machine were measured ten times slower than one.
            torch.set_num_threads(1)
        self.training: dict[str, Any] = {}

    @cached_property
    def benchmark(self) -> Benchmark:
        keep = self.config.feature_cache > 0
        return load_benchmark(self.protocol, self.config.root, keep)

    @cached_property
    def cache(self) -> Cache:
        """Of what frozen encoders say: on disk if the config says so."""
        if self.config.feature_cache:
            return DiskCache(data_root() / "features", self.config.feature_cache * 2**30)
        return PassCache(self.config.clip_cache * 2**20)

    @cached_property
    def specs(self) -> list[EpisodeSpec]:
        """The test list."""
        return test_episodes(self.benchmark, self.protocol)

    @cached_property
    def method(self) -> FewShotSegmenter:
        """The method on its device; seeded, so that equal configs start from equal weights."""
        config, name = self.config, self.config.method
        clip = self._clip_priors() if config.reads_clip else None
        words = self._word_masks() if config.reads_words else None
        torch.manual_seed(getattr(config, "seed", 0))
        backbone = build_backbone(config.backbone, config.weights, dilated=name not in UNDILATED)
        parts: dict[str, Any] = {"clip": clip, "words": words, "cache": self.cache}
        if name in WITH_DINOISER:
            parts["dinoiser"] = self._dinoiser()
        if name in WITH_BASE:
            parts["base"] = self._base_learner(backbone)
        if name == "qgnet":
            parts["extractor"] = build_backbone(config.extractor, config.extractor_weights)
        settings = config.method_settings()
        method = build_method(name, backbone, config.preset, **parts, **settings)
        if config.guided_by == "word" and name not in WITH_WORDS:
            method = WordGuided(method, words)
        if config.head is not None:
            shipped = config.head == "shipped"
            path = shipped_path(config.fold) if shipped else Path(config.head)
            method.load_head_state(read_state(path))
        return any_way(method, self.protocol.way).to(self.device)

    def _dinoiser(self) -> ClipDinoiser:
        config, name = self.config, self.config.clip_model or "scenes-clip-vit"
        encoder, settings = load_clip(name, config.clip_weights), config.dinoiser()
        if config.heads == "teachers":
            return DinoClip(encoder, load_teachers(name), settings, self.cache)
        path = dinoiser_path() if config.heads == "shipped" else Path(config.heads)
        return ClipDinoiser(encoder, load_heads(path, encoder.width), settings, self.cache)

    def _clip_priors(self) -> ClipPriors:
        config = self.config
        model = config.clip_model or "scenes-clip-vit"
        encoder = load_clip(model, config.clip_weights, positions="bilinear")
        names = self.benchmark.class_names
        return ClipPriors(encoder, config.clip_priors(), names, config.clip_cache)

    def _word_masks(self) -> WordMasks:
        config, benchmark = self.config, self.benchmark
        encoder = load_clip(config.clip_model or "scenes-clip-rn", config.clip_weights)
        settings = config.word_masks()
        return WordMasks(encoder, benchmark.class_names, settings, config.benchmark, self.cache)

    def _base_learner(self, backbone: StageBackbone) -> BaseLearner:
        """From a file of `train_base`, or one that BAM's authors publish."""
        config, classes = self.config, ClassSplit.of(self.benchmark, self.protocol).train
        path = base_path(config.fold) if config.base == "shipped" else Path(config.base)
        if "class_ids" not in read_state(path):
            learner = BaseLearner(backbone, classes, BaseLearnerConfig.preset(config.preset))
            load_official(learner, path)
            return learner.requires_grad_(False).eval()
        learner = load_base_learner(backbone, path, config.preset)
        if tuple(learner.class_ids.tolist()) != classes:
            raise ConfigError(
                f"base={config.base!r} knows other classes than fold {config.fold} with "
                f"held_out={self.protocol.held_out} trains on; make one with train_base"
            )
        return learner

    def train(self) -> dict[str, Any]:
        """Train or go on; leaves the selected weights in the method and in `head.safetensors`."""
        config = self.config
        if not isinstance(config, TrainRunConfig):
            raise ConfigError("this run's config describes an evaluation; use the train template")
        settings, protocol = config.training(), self.protocol
        if isinstance(self.method, OneVersusRest):
            protocol = replace(protocol, way=1)  # binary methods learn from 1-way episodes
        stream = partial(
            TrainingEpisodes,
            self.benchmark,
            protocol,
            settings.steps * settings.batch_size,
            settings.seed,
            augmentation=self.augmentation if settings.augment else None,
        )
        outcome = train(
            self.method,
            lambda start: stream(start=start),
            settings,
            self.folder,
            self.device,
            self.validate if settings.validate_every else None,
        )
        chosen = "last" if self.protocol.selection == "last" else "best"
        self.method.load_head_state(outcome[chosen])
        step = outcome["step"] if chosen == "last" else outcome["best_step"]
        self.training = {
            "selected_step": step,
            "training_seconds": round(outcome["seconds"], 1),
            "training": asdict(settings),
        }
        save_head(self.method, self.folder / "head.safetensors", self.card())
        return self.training

    @property
    def augmentation(self) -> Augmentation:
        scale = (0.8, 1.25) if self.protocol.benchmark == "coco20i" else (0.9, 1.1)
        return Augmentation(scale=scale)

    @cached_property
    def _validation_lists(self) -> dict[str, list[EpisodeSpec]]:
        """Episode lists to look at while training; the first one selects the checkpoint.

        `held_out`: base classes that are not trained on; `base`: classes that are, on images of
        the val split. Comparing the two shows overfitting to the base classes.
        """
        count = self.config.validation_episodes
        changes = {"episodes": count, "seed": 1000 + self.protocol.seed}
        protocol = type(self.protocol)(**{**self.protocol.to_dict(), **changes})
        if self.protocol.selection == "test_fold":
            return {"novel": test_episodes(self.benchmark, protocol)}
        lists = {}
        if self.protocol.held_out:
            lists["held_out"] = test_episodes(self.benchmark, protocol, "held_out")
        trained = ClassSplit.of(self.benchmark, protocol).train
        lists["base"] = listed(EpisodeSampler(self.benchmark, protocol, "val", trained), count)
        return lists

    def validate(self, method: FewShotSegmenter) -> dict[str, float]:
        """mIoU on each validation list."""
        return {
            name: self._evaluate(method, specs).meter.miou()
            for name, specs in self._validation_lists.items()
        }

    def _evaluate(self, method: FewShotSegmenter, specs: list[EpisodeSpec]) -> Scores:
        batch, workers = self.config.batch_size, self.config.workers
        return evaluate(method, self.benchmark, self.protocol, specs, self.device, batch, workers)

    def evaluate(self) -> dict[str, Any]:
        """Score the method on the test list and write `results.json`."""
        start = perf_counter()
        scores = self._evaluate(self.method, self.specs)
        results = self.card() | scores.to_dict() | {"seconds": round(perf_counter() - start, 1)}
        results["seconds"] += self.training.get("training_seconds", 0)
        write_json(self.folder / "results.json", results)
        return results

    def card(self) -> dict[str, Any]:
        """What must be known about a result besides its numbers."""
        config = asdict(self.config)
        for name in PATHS:  # a path says nothing elsewhere
            if name in config:
                config[name] = Path(config[name]).name if config[name] else None
        oracle = self.protocol.query_labels == "oracle"
        return {
            "run": self.config.run_name,
            "method": self.config.method,
            "trained": self.config.method not in BASELINES,
            "privileged_query_labels": oracle,
            "n_way": type(self.method).__name__ if self.protocol.way > 1 else None,
            "class_names_read": self.config.class_names_read,
            "guidance": self.config.guided_by,
            "supervision": self.config.supervision,
            "protocol": self.protocol.to_dict(),
            "protocol_hash": self.protocol.hash,
            "config": config,
            **self.training,
            **environment(self.device),
        }


def listed(sampler: EpisodeSampler, count: int) -> list[EpisodeSpec]:
    """`count` balanced episodes of a sampler, a pure function of its protocol."""
    seed = sampler.protocol.seed
    return [sampler.balanced(i, np.random.default_rng([seed, 3, i])) for i in range(count)]
