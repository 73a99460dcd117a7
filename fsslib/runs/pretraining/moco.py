"""What `pretrain_moco.ipynb` calls: pictures and monitor before, weights and card after."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.scenes.album import Album
from fsslib.encoders import build_backbone
from fsslib.encoders.weights import write_weights
from fsslib.evaluation.probe import PrototypeProbe
from fsslib.runs.config import command_of
from fsslib.runs.machine import environment
from fsslib.runs.pretraining.unlabelled_config import PretrainMocoRunConfig
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.moco import trained_state
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.pretraining.unlabelled import PictureFiles

SCENE = 96
"""Side of the scenes in pixels."""
PHOTOGRAPH = 321
"""Side of the canvas on which photographs are monitored."""


def prepare_moco(config: PretrainMocoRunConfig) -> SegmentStore:
    """The pictures and their segments, rendered and made where they are not there yet.

    Without a local branch nothing is segmented.
    """
    if config.data is None:
        album = Album("moco", config.seed, config.scenes, SCENE)
        pictures = album.prepare(config.machine_config.prepare_workers)
    elif config.listed:
        benchmark = _listed(config)
        pictures = PictureFiles.train_list(benchmark)
    else:
        pictures = PictureFiles.in_folder(config.data)
    store = SegmentStore(pictures, config.segmentation())
    return (
        store.prepare(config.machine_config.prepare_workers)
        if config.training.local_weight
        else store
    )


def prepare_monitor(config: PretrainMocoRunConfig) -> PrototypeProbe | None:
    """Looks at the features of held-out scenes or of labelled pictures of the train list; None
    for a folder of pictures, which has no labels."""
    if not config.monitor_pictures:
        return None
    if config.data is None:
        return PrototypeProbe.of_scenes(config.monitor_pictures, SCENE)
    if not config.listed:
        return None
    benchmark = _listed(config)
    return PrototypeProbe.of_benchmark(benchmark, config.monitor_pictures, PHOTOGRAPH)


def finish_moco(
    config: PretrainMocoRunConfig,
    folder: Path,
    store: SegmentStore,
    facts: dict[str, Any],
    monitor: PrototypeProbe | None,
    device: str,
) -> dict[str, Any]:
    """Write `<release>.safetensors` in fp16 and its card into the run's folder; returns the card.

    For scale the card holds the monitor's scores of the embedded supervised backbone and of one
    with random weights beside the trained one's.
    """
    settings, local = config.training, config.training.local_weight > 0
    rows = read_journal(folder / "metrics.jsonl")
    card = {
        "name": config.release,
        "backbone": settings.backbone,
        "encoder": settings.encoder,
        "command": command_of(config) if _public(config) else None,
        "task": "tell views of one picture, or one superpixel, from others (MoCo-v2, QGNet)",
        "seen": _seen(config),
        **facts,
        "settings": asdict(settings),
        "pictures": len(store),
        "superpixels": {**asdict(store.config), **store.report()} if local else None,
        "monitor": _references(config, monitor),
        "curve": [row for row in rows if "prototype_miou" in row],
        **environment(device),
    }
    state = trained_state(folder, settings, store)
    write_weights(folder / f"{config.release}.safetensors", state, card)
    return card


def _listed(config: PretrainMocoRunConfig) -> Benchmark:
    """The benchmark whose train list is read."""
    protocol = Protocol.preset(config.data, train_list=config.train_list)
    return load_benchmark(protocol, config.root)


def _public(config: PretrainMocoRunConfig) -> bool:
    """Whether others have the pictures."""
    return config.data is None or config.listed


def _seen(config: PretrainMocoRunConfig) -> str:
    """Transductive in classes: an extractor that has seen novel ones, unlabelled, must say so."""
    if config.data is None:
        return "scenes of all 40 classes, those that are novel in a fold too; no labels, no masks"
    if config.listed:
        return f"the train list of {config.data}, novel classes too; no labels, no masks"
    return "a folder of pictures; no labels, no masks"


def _references(
    config: PretrainMocoRunConfig, monitor: PrototypeProbe | None
) -> dict[str, dict[str, float]] | None:
    """What other weights score in the same look (scenes only, where others are at hand)."""
    if monitor is None or config.data is not None:
        return None
    return {
        weights: {name: round(v, 4) for name, v in monitor(backbone).items()}
        for weights in ("random", "scenes")
        for backbone in (build_backbone("scenes-resnet", weights),)
    }
