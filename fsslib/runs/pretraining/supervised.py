"""What the pretraining templates call: data and model before, weights and card after."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from fsslib.data.augmentation import Augmentation
from fsslib.data.base_pictures import BasePictures, picture_specs
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit, test_episodes
from fsslib.data.scenes.album import Album
from fsslib.encoders import build_backbone
from fsslib.encoders.backbones import load_backbone_state
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_loading import load_clip, wrap
from fsslib.encoders.clip_small import SMALL_CLIPS, small_clip
from fsslib.encoders.storage import as_stored, halved
from fsslib.encoders.tokenizer import WordTokenizer
from fsslib.encoders.weights import write_weights
from fsslib.evaluation.evaluator import evaluate
from fsslib.evaluation.zero_shot import zero_shot
from fsslib.files import read_json, write_json
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.baselines import MaskedAveragePrototype
from fsslib.methods.shipped import save_head
from fsslib.runs.assembly import encoder_cache
from fsslib.runs.config import command_of, portable
from fsslib.runs.machine import environment
from fsslib.runs.pretraining.config import (
    BaseLearnerRunConfig,
    PretrainClipRunConfig,
    PretrainRunConfig,
)
from fsslib.runs.processes import in_processes
from fsslib.training.journal import loss_curve
from fsslib.training.loop import train
from fsslib.training.pretraining.backbone import (
    backbone_state,
    prepare_pictures,
    pretrain_backbone,
)
from fsslib.training.pretraining.captioned import Captioned, CaptionedScenes, ImageTextFolder
from fsslib.training.processes import own_share

BACKBONE_TASKS = {
    "single": "name the object in single-object scenes of Scenes-10i, 40 classes",
    "several": "name the objects in scenes of one to four of Scenes-10i, 40 classes",
}
CHOSEN_ON = {
    "scenes": "prototypes on 320 episodes of another edition of the benchmark (seed 1, 80 a fold) "
    "and the accuracy on 600 single objects of it, after trainings of one minute"
}


def train_backbone(config: PretrainRunConfig, folder: Path) -> dict[str, Any]:
    """Train (or go on), by several processes if the machine says so; the card's facts."""
    device = config.machine_config.use(config.training.precision)
    prepare_pictures(config.training)
    in_processes(train_backbone, config, folder)
    return pretrain_backbone(config.training, folder, device)


def finish_pretraining(
    config: PretrainRunConfig, folder: Path, facts: dict[str, Any], device: str
) -> dict[str, Any]:
    """Write `<release>.safetensors` and its card into the run's folder; returns the card."""
    settings = config.training
    state = backbone_state(folder, settings)
    card = {
        "name": config.release,
        "command": command_of(config),
        "task": BACKBONE_TASKS[settings.pictures],
        "seen": "all 40 classes as image labels, those that are novel in a fold too; no masks",
        "settings_chosen_on": CHOSEN_ON.get(config.recipe_name),
        **facts,
        "pictures": settings.steps * settings.batch_size,
        "prototype": prototype_scores(settings.backbone, state, config.episodes, device),
        "curve": loss_curve(folder / "metrics.jsonl"),
        **environment(device),
    }
    write_weights(folder / f"{config.release}.safetensors", state, card)
    return card


def prototype_scores(
    name: str, state: dict[str, Tensor], episodes: int, device: str = "cpu"
) -> dict[str, Any] | None:
    """What a masked-average prototype scores on a backbone's features, nothing trained: mIoU and
    its interval on each fold of Scenes-10i, and the folds' mean. None where `episodes` is 0."""
    if not episodes:
        return None
    backbone = build_backbone(name, "random")
    load_backbone_state(backbone, {key: value.float() for key, value in state.items()})
    method, folds = MaskedAveragePrototype(backbone).to(device), {}
    for fold in range(4):
        protocol = Protocol.preset("scenes10i", fold=fold, episodes=episodes)
        benchmark = load_benchmark(protocol)
        specs = test_episodes(benchmark, protocol)
        scores = evaluate(method, benchmark, protocol, specs, device).to_dict()
        folds[fold] = [round(v, 4) for v in (scores["miou"], *scores["miou_interval"])]
    mean = sum(row[0] for row in folds.values()) / len(folds)
    return {"episodes": episodes, "miou": round(mean, 4), "miou_and_interval_by_fold": folds}


def train_base_learner(config: BaseLearnerRunConfig, folder: Path) -> dict[str, Any]:
    """Train a base learner (or go on), score it on base classes of the val split, and write
    `base.safetensors`, its card and `results.json`; returns the results."""
    if in_processes(train_base_learner, config, folder):
        return read_json(folder / "results.json")
    protocol, machine, settings = config.base_protocol, config.machine_config, config.training
    device = machine.use(settings.precision)
    benchmark = load_benchmark(protocol, config.root, machine.feature_cache > 0)
    torch.manual_seed(config.seed)
    chosen = config.backbone_weights
    backbone = build_backbone(chosen.name, chosen.weights)
    backbone.remember(encoder_cache(machine.feature_cache))
    classes = ClassSplit.of(benchmark, protocol).train
    learner = BaseLearner(backbone, classes, config.learner_settings)
    outcome = train(
        learner,
        lambda start: BasePictures(
            benchmark,
            protocol,
            settings.steps * settings.batch_size,
            settings.seed,
            start,
            Augmentation(scale=(0.5, 2.0)) if settings.augment else None,
        ),
        settings,
        folder,
        device,
        about=config.decisive(),
    )
    learner.load_head_state(halved(learner.head_state()))  # what is scored is what is saved
    split = "val" if benchmark.val_has_base else "train"
    specs = picture_specs(benchmark, protocol, split, config.pictures)
    batch, workers = machine.batch_size, machine.loaders
    about = (learner, benchmark, protocol, specs, device, batch, workers)
    scores = evaluate(*about, share=own_share())
    card = {
        "command": command_of(config),
        "run": config.run_name,
        "method": "base_learner",
        "seen": "masks of the fold's base classes",
        "scored_on": split,
        "protocol": protocol.to_dict(),
        "config": portable(config),
        "training": asdict(settings),
        "training_seconds": round(outcome["seconds"], 1),
        **environment(device),
    }
    results = card | scores.to_dict()
    if own_share().rank == 0:
        save_head(learner, folder / "base.safetensors", card | {"base_miou": results["miou"]})
        write_json(folder / "results.json", results)
    return results


def prepare_clip(config: PretrainClipRunConfig) -> tuple[ClipEncoder, Captioned]:
    """A CLIP, with random weights unless `start` names some, and the pictures it will learn from
    (rendered if need be)."""
    training = config.training
    side = max(training.size, training.final_size)
    if config.data is None:
        album = Album("clip", config.seed, training.scenes, side)
        pictures: Captioned = CaptionedScenes(album.prepare())
    else:
        pictures = ImageTextFolder(config.data, side)
    torch.manual_seed(config.seed)
    if config.start is not None:
        return load_clip(config.model, config.start).requires_grad_(True), pictures
    if config.model in SMALL_CLIPS:
        return small_clip(config.model, pictures.vocabulary(), fine=False), pictures
    model = open_clip.create_model(config.model, load_weights=False, pretrained_text=False)
    return wrap(model, open_clip.get_tokenizer(config.model), config.model), pictures


def prepare_teacher(config: PretrainClipRunConfig, device: str) -> ClipEncoder | None:
    """The embedded CLIP that is learned from beside the captions, if the settings name one."""
    teacher = config.training.teacher
    if not teacher:
        return None
    return load_clip(teacher).to(device, memory_format=torch.channels_last)  # half as fast again


def finish_clip(
    config: PretrainClipRunConfig,
    folder: Path,
    encoder: ClipEncoder,
    facts: dict[str, Any],
    device: str,
) -> dict[str, Any]:
    """Write `<model>.safetensors` and its card into the run's folder; returns the card.

    An embedded CLIP's vocabulary goes into the file's metadata. What the model is worth zero-shot
    is measured on held-out scenes, if it learned from scenes.
    """
    as_stored(encoder.eval().model)
    scenes, size = config.data is None, config.training.final_size
    card = {
        "name": config.model,
        "command": command_of(config) if scenes else None,
        "task": "match pictures and captions (symmetric contrastive loss)",
        "seen": "all 40 names in captions, those that are novel in a fold too; no masks"
        if scenes
        else "captions of a folder",
        **facts,
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "zero_shot": zero_shot(encoder, config.validation_scenes, size) if scenes else None,
        **environment(device),
    }
    metadata = {"model": config.model}
    if isinstance(encoder.tokenizer, WordTokenizer):
        metadata["vocabulary"] = " ".join(encoder.tokenizer.vocabulary)
    path = folder / f"{config.model}.safetensors"
    write_weights(path, encoder.model.state_dict(), card, metadata)
    return card
