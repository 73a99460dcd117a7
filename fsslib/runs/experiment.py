"""What the run templates call, in their order: prepare, train, evaluate, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from fsslib.config import ConfigError
from fsslib.data.augmentation import Augmentation
from fsslib.data.benchmark import Benchmark
from fsslib.data.episode_files import read_episode_file
from fsslib.data.loading import TrainingEpisodes
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import EpisodeSpec, test_episodes
from fsslib.encoders.pass_cache import Cache
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.storage import halved
from fsslib.evaluation.absence import absence
from fsslib.evaluation.episode_table import write_table
from fsslib.evaluation.evaluator import Scores, evaluate
from fsslib.files import copy_whole, read_json, write_json
from fsslib.methods import FewShotSegmenter
from fsslib.methods.n_way import OneVersusRest
from fsslib.methods.shipped import save_head
from fsslib.runs.assembly import assemble, encoder_cache
from fsslib.runs.config import command_of
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.machine import environment
from fsslib.runs.processes import in_processes
from fsslib.runs.result_card import result_card
from fsslib.runs.results import episodes_beside
from fsslib.runs.train_config import TrainRunConfig
from fsslib.runs.validation import validation_lists
from fsslib.training.loop import train
from fsslib.training.processes import own_share
from fsslib.training.recipe import TrainConfig

HEAD, SCORES, EPISODES = "head.pt", "scores.json", "episodes.csv.gz"
"""What several processes are handed, and hand back."""


class Experiment:
    """One run: the benchmark, the method and the folder that its results go to."""

    def __init__(self, config: EvaluateConfig, folder: Path | str) -> None:
        self.config, self.folder = config, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.protocol, self.machine = config.test_protocol, config.machine_config
        self.device = self.machine.use(*config.precisions, compiles=True)
        self.training: dict[str, Any] = {}

    @cached_property
    def benchmark(self) -> Benchmark:
        keep = self.machine.feature_cache > 0
        return load_benchmark(self.protocol, self.config.root, keep)

    @cached_property
    def cache(self) -> Cache:
        """Of what frozen encoders say: on disk if the config says so."""
        return encoder_cache(self.machine.feature_cache, self.machine.clip_cache)

    @cached_property
    def specs(self) -> list[EpisodeSpec]:
        """The test list: a function of the protocol, or one that a file holds."""
        if self.config.episodes_file is not None:
            path = Path(self.config.episodes_file)
            return read_episode_file(path, self.benchmark, self.protocol)
        return test_episodes(self.benchmark, self.protocol)

    @cached_property
    def method(self) -> FewShotSegmenter:
        """The method on its device; seeded, so that equal configs start from equal weights."""
        method = assemble(self.config, self.benchmark, self.protocol, self.cache)
        if self.machine.compile:
            for module in method.modules():
                module.compile_stages() if isinstance(module, StageBackbone) else None
        return method.to(self.device)

    def train(self) -> dict[str, Any]:
        """Train or go on; leaves the selected weights in the method and in `head.safetensors`."""
        config = self.config
        if not isinstance(config, TrainRunConfig):
            raise ConfigError("this run's config describes an evaluation; use the train template")
        _ = self.benchmark  # what is made once is made before several processes read it
        in_processes(learn, config, self.folder)
        outcome = self.learn()
        chosen = "last" if self.protocol.selection == "last" else "best"
        self.method.load_head_state(halved(outcome[chosen]))  # what is scored is what is saved
        step = outcome["step"] if chosen == "last" else outcome["best_step"]
        self.training = {
            "selected_step": step,
            "training_seconds": round(outcome["seconds"], 1),
            "training": asdict(config.training),
        }
        card = {"command": command_of(config), **self.card()}
        save_head(self.method, self.folder / "head.safetensors", card)
        return self.training

    def learn(self) -> dict[str, Any]:
        """The steps that are left; what `train` returns."""
        settings, protocol = self.config.training, self.protocol
        if isinstance(self.method, OneVersusRest):
            protocol = replace(protocol, way=1)  # binary methods learn from 1-way episodes
        stream = partial(
            TrainingEpisodes,
            self.benchmark,
            protocol,
            settings.steps * settings.batch_size,
            settings.seed,
            augmentation=self.augmentation(settings) if settings.augment else None,
        )
        return train(
            self.method,
            lambda start: stream(start=start),
            settings,
            self.folder,
            self.device,
            self.validate if settings.validate_every and self._validation_lists else None,
            about=self.config.decisive(),
        )

    def augmentation(self, settings: TrainConfig) -> Augmentation:
        scale = self.benchmark.augmentation_scale
        return Augmentation(scale=scale, last=settings.augment_last)

    @cached_property
    def _validation_lists(self) -> dict[str, list[EpisodeSpec]]:
        count = self.config.training.validation_episodes
        return validation_lists(self.benchmark, self.protocol, count)

    def validate(self, method: FewShotSegmenter) -> dict[str, float]:
        """mIoU on each validation list."""
        return {
            name: self._evaluate(method, specs).meter.miou()
            for name, specs in self._validation_lists.items()
        }

    def _evaluate(
        self, method: FewShotSegmenter, specs: list[EpisodeSpec], maps: Sequence[str] = ()
    ) -> Scores:
        about = (method, self.benchmark, self.protocol, specs, self.device)
        sizes = (self.machine.batch_size, self.machine.loaders)
        precision = self.config.evaluation_precision
        return evaluate(*about, *sizes, maps=maps, share=own_share(), precision=precision)

    def scores(self) -> Scores:
        """The method on the test list; whether an object is there is calibrated on other classes,
        those kept out of training where there are any."""
        asks_absence = self.protocol.queries == "half_absent"
        maps = self.method.scored_maps if self.protocol.way == 1 and not asks_absence else ()
        scores = self._evaluate(self.method, self.specs, maps)
        if not asks_absence:
            return scores
        kind = "held_out" if self.protocol.held_out else "base"
        known = test_episodes(self.benchmark, self.protocol, kind)
        base = self._evaluate(self.method, known)
        return replace(scores, absence=absence(scores.meter, base.meter, kind))

    def evaluate(self) -> dict[str, Any]:
        """Score the method on the test list; write its episodes, then `results.json`."""
        start = perf_counter()
        _ = self.benchmark
        with TemporaryDirectory() as desk:
            torch.save(self.method.head_state(), Path(desk) / HEAD)
            if not in_processes(score, self.config, self.folder, desk):
                put_down(self.scores(), Path(desk))
            scores = read_json(Path(desk) / SCORES)
            copy_whole(Path(desk) / EPISODES, episodes_beside(self.folder / "results.json"))
        results = self.card() | scores | {"seconds": round(perf_counter() - start, 1)}
        results["seconds"] += self.training.get("training_seconds", 0)
        write_json(self.folder / "results.json", results)
        return results

    def card(self) -> dict[str, Any]:
        """What must be known about its result besides the numbers."""
        card = result_card(self.config, self.method, self.benchmark, bool(self.training))
        return card | self.training | environment(self.device)


def learn(config: TrainRunConfig, folder: Path) -> None:
    """One of several processes' part of a training."""
    Experiment(config, folder).learn()


def score(config: EvaluateConfig, folder: Path, desk: str) -> None:
    """One of several processes' part of an evaluation; `desk` is where the weights lie, and where
    the first puts the scores of all."""
    experiment = Experiment(config, folder)
    experiment.method.load_head_state(torch.load(Path(desk) / HEAD, weights_only=True))
    scores = experiment.scores()
    if own_share().rank == 0:
        put_down(scores, Path(desk))


def put_down(scores: Scores, desk: Path) -> None:
    """Scores and episodes as files."""
    write_json(desk / SCORES, scores.to_dict())
    write_table(scores.table, desk / EPISODES)
