"""What the templates of DINO and of CLIP-DINOiser's heads call, pictures and models before, weights
and card after; and CLIP-DINOiser by words alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.scenes.album import Album
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.dino import Dino
from fsslib.encoders.pass_cache import PassCache
from fsslib.encoders.prompts import BACKGROUND_NAMES
from fsslib.encoders.storage import as_stored
from fsslib.encoders.weights import write_weights
from fsslib.evaluation.dino_scores import agreement, neighbour_accuracy
from fsslib.evaluation.open_vocabulary import Windows, open_vocabulary, score_pictures
from fsslib.evaluation.vocabulary import Vocabulary
from fsslib.files import write_json
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import BACKGROUND, ClipDinoiser
from fsslib.methods.clip_dinoiser.teachers import Teachers, load_teachers
from fsslib.runs.assembly import clip_dinoiser
from fsslib.runs.config import command_of
from fsslib.runs.machine import environment
from fsslib.runs.pretraining.unlabelled_config import (
    PretrainDinoRunConfig,
    TrainDinoiserRunConfig,
)
from fsslib.runs.processes import in_processes
from fsslib.runs.zero_shot_config import ZeroShotRunConfig
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.clip_dinoiser import train_heads
from fsslib.training.pretraining.crops import PictureFolder, Pictures
from fsslib.training.pretraining.dino import Monitor, pretrain_dino


def dino_pictures(config: PretrainDinoRunConfig) -> Pictures:
    """The album of scenes that the embedded CLIPs learned from, or all pictures of a folder."""
    if config.data is None:
        return Album("clip", 0, config.training.scenes, config.training.size).prepare()
    return PictureFolder(config.data, config.training.scenes, config.seed)


def train_dino(config: PretrainDinoRunConfig, folder: Path) -> tuple[Dino, dict[str, Any]]:
    """Train (or go on), by several processes if the machine says so; what `pretrain_dino` gives."""
    device = config.machine_config.use(config.training.precision)
    pictures = dino_pictures(config)
    in_processes(train_dino, config, folder)
    return pretrain_dino(config.training, pictures, folder, device, monitor=dino_monitor(config))


def dino_monitor(config: PretrainDinoRunConfig) -> Monitor:
    """The card's scores on held-out scenes: `neighbour_accuracy`, `average_precision` of centred
    facets and of facets `as_is`."""
    count = config.training.validation_scenes

    def scores(encoder: Dino) -> dict[str, float]:
        centred, as_is = _agreements(encoder, min(count, 100))
        return {
            "neighbour_accuracy": neighbour_accuracy(encoder, count),
            "average_precision": centred["average_precision"],
            "as_is": as_is["average_precision"],
        }

    return scores


def _agreements(encoder: Dino, scenes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """`agreement` of centred facets, and of facets as they are (`encoders/dino.py`)."""
    as_is = Dino(encoder.model, "as it is").to(encoder.statistics.device)
    return agreement(encoder, scenes=scenes), agreement(as_is, scenes=scenes)


def finish_dino(
    config: PretrainDinoRunConfig, folder: Path, encoder: Dino, facts: dict[str, Any], device: str
) -> dict[str, Any]:
    """Write `scenes-dino.safetensors` (fp16) and its card; returns the card.

    Its `agreement` is that of centred facets, `as_is` that of others (`encoders/dino.py`); its
    `curve` holds what `dino_monitor` scored on the way.
    """
    scenes, count = config.data is None, config.training.validation_scenes
    as_stored(encoder.model)
    centred, as_is = _agreements(encoder, min(count, 100))
    rows = read_journal(folder / "metrics.jsonl")
    card = {
        "name": "scenes-dino",
        "command": command_of(config) if scenes else None,
        "task": "self-distillation without labels (DINO)",
        "seen": "pictures of Scenes-10i; no label, caption or mask" if scenes else "a folder",
        **facts,
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "neighbour_accuracy": neighbour_accuracy(encoder, count),
        "agreement": centred,
        "as_is": {"average_precision": as_is["average_precision"]},
        "curve": [row for row in rows if "neighbour_accuracy" in row],
        **environment(device),
    }
    write_weights(folder / "scenes-dino.safetensors", encoder.model.state_dict(), card)
    return card


def heads_parts(config: TrainDinoiserRunConfig) -> tuple[ClipViT, Teachers, Pictures]:
    """CLIP, its teachers, and the pictures that the heads will learn from."""
    clip = config.clip_weights
    encoder = clip.load()
    if not isinstance(encoder, ClipViT):
        raise ConfigError(f"clip={clip.name!r} is no Vision Transformer; CLIP-DINOiser taps one")
    teachers = load_teachers(clip.name, config.found_head, config.dino_weights)
    training = config.training
    if config.data is None:
        pictures: Pictures = Album("clip", 0, training.pictures, training.size).prepare()
    else:
        pictures = PictureFolder(config.data, training.pictures, training.seed)
    return encoder, teachers, pictures


def train_dinoiser(
    config: TrainDinoiserRunConfig, folder: Path
) -> tuple[ClipViT, DinoiserHeads, dict[str, Any]]:
    """CLIP, and the heads and facts of their training (or its rest), which several processes share
    if the machine says so."""
    device = config.machine_config.use(config.training.precision)
    parts = heads_parts(config)
    in_processes(train_dinoiser, config, folder)
    return parts[0], *train_heads(config.training, *parts, folder, device)


def finish_heads(
    config: TrainDinoiserRunConfig,
    folder: Path,
    encoder: ClipViT,
    heads: DinoiserHeads,
    facts: dict[str, Any],
    device: str,
) -> dict[str, Any]:
    """Write `heads.safetensors` (fp16) and its card into the run's folder; returns the card.

    For embedded CLIPs the card says what the heads are worth zero-shot on Scenes-10i.
    """
    scenes = config.clip_weights.embedded
    as_stored(heads)
    card = {
        "run": config.run_name,
        "method": "clip_dinoiser",
        "command": command_of(config) if config.data is None else None,
        "task": "DINO's correlations and FOUND's saliency from CLIP's own tokens",
        "seen": "pictures; no label, caption or mask",
        "clip": config.clip_weights.name,
        "saliency": "FOUND's seed" if config.found_head is None else "FOUND",
        **facts,
        "zero_shot": _zero_shot(config, encoder, heads) if scenes else None,
        **environment(device),
    }
    write_weights(folder / "heads.safetensors", heads.state_dict(), card)
    return card


def _zero_shot(
    config: TrainDinoiserRunConfig, encoder: ClipViT, heads: DinoiserHeads
) -> dict[str, Any]:
    """mIoU over all 40 names and the background, with and without what the heads say."""
    protocol = Protocol.preset("scenes10i", image_size=97)
    benchmark, side = load_benchmark(protocol), config.training.size
    windows, mious = Windows(side, side, side // 2), {}
    settings = {"gamma": config.training.gamma, "tap": config.training.tap}
    for name, pooling, refine in (
        ("plain", False, False),
        ("pooled", True, False),
        ("pooled_and_refined", True, True),
    ):
        chosen = DinoiserConfig.preset("scenes", pooling=pooling, **settings)
        model = ClipDinoiser(encoder, heads, chosen)
        scores = open_vocabulary(
            model, benchmark, config.validation_pictures, True, refine, windows
        )
        mious[name] = scores["miou"]
    return mious | {"pictures": config.validation_pictures, "classes": "40 and background"}


def score_zero_shot(config: ZeroShotRunConfig, folder: Path, device: str) -> dict[str, Any]:
    """Score all pictures, write `zero_shot.json` into the run's folder and return it."""
    benchmark = load_benchmark(config.read_protocol, config.root)
    by_words = config.vocabulary_settings is not None
    score = _score_vocabulary if by_words else _score_dinoiser
    scores = score(config, benchmark, device)
    settings = config.vocabulary_settings if by_words else config.dinoiser_settings
    scores["per_class"] = {
        benchmark.name_of(each): row["intersection"] / max(row["union"], 1)
        for each, row in scores["per_class"].items()
    }
    card = {"run": config.run_name, "command": command_of(config), "split": config.split}
    card |= {"settings": asdict(settings)} | scores | environment(device)
    write_json(folder / "zero_shot.json", card)
    return card


def _score_dinoiser(config: ZeroShotRunConfig, benchmark: Benchmark, device: str) -> dict[str, Any]:
    """CLIP-DINOiser, in windows that move by half of their side."""
    settings = config.dinoiser_settings
    model = clip_dinoiser(config.clip_weights, config.heads, settings, PassCache())
    model, side = model.to(device).eval(), settings.size or 448
    windows = Windows(side, side, side // 2)
    options = (config.pictures, config.background, settings.refine, windows, config.split)
    return open_vocabulary(model, benchmark, *options)


def _score_vocabulary(
    config: ZeroShotRunConfig, benchmark: Benchmark, device: str
) -> dict[str, Any]:
    """CLIP alone; with a background the benchmark's names of what is no object are its names."""
    encoder, settings = config.clip_weights.load().to(device), config.vocabulary_settings
    grounds = BACKGROUND_NAMES.get(config.read_protocol.benchmark, (BACKGROUND,))
    names = grounds if config.background else ()
    words = Vocabulary(encoder, benchmark.class_names, settings, names)
    options = (device, config.pictures, config.background, config.split)
    scores = score_pictures(words.segment, benchmark, *options)
    return scores | {"attention": config.clip_weights.attention}
