"""PFENet, QGNet, BAM, HDMNet, ASGNet and HSNet beside their released code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from clones import built_blank, imported
from pairs import (
    Pair,
    episode,
    forward_pair,
    inputs,
    random_method,
    same_weights,
    training_pair,
)
from torch import Tensor, nn

from fsslib.data.episode import Episode
from fsslib.methods.base import FewShotSegmenter, Prediction

DEEP = "resnet50-v2"
"""The deep-stem ResNet-50 that all of PFENet's family reads."""
HSNET = 400
"""Side of HSNet's pictures."""
SETTINGS = {
    **{"layers": 50, "classes": 2, "zoom_factor": 8, "vgg": False, "ignore_label": 255},
    **{"data_set": "pascal", "split": 0, "print_freq": 10, "low_fea": "layer2"},
    **{"kshot_trans_dim": 2, "pre_weight": "", "sync_bn": False, "pyramid": True},
    **{"train_iter": 10, "eval_iter": 5, "ppm_scales": [60, 30, 15, 8]},
}
"""What their configuration files say, as far as the networks read it."""


def pfenet(clone: Path, size: int) -> Iterator[Pair]:
    """One shot and five; a step with BatchNorm as ours has it, and as theirs."""
    (module,) = imported(clone, "model.PFENet")
    for shot in (5, 1):
        yield _pfenet_forward("PFENet", "pfenet", module, shot, size)
    for preset, mode in (("paper", "frozen (ours)"), ("official", "training (official)")):
        method, batch = random_method("pfenet", DEEP, 1, preset), episode(1, size)
        with built_blank():
            network = module.PFENet(pretrained=False)
        same_weights(method, network).train()
        if preset == "paper":
            _freeze_norm(network)
        query, supports, masks = inputs(method, batch)
        loss = partial(_summed, network, query, supports, masks, batch.query_mask)
        yield training_pair(f"PFENet train step, BatchNorm {mode}", method, batch, network, loss)


def qgnet(clone: Path, size: int) -> Iterator[Pair]:
    """One shot."""
    (module,) = imported(clone, "model.PFENet_QGNet")
    yield _pfenet_forward("QGNet", "qgnet", module, 1, size)


def _pfenet_forward(title: str, name: str, module: Any, shot: int, size: int) -> Pair:
    method, batch = random_method(name, DEEP, shot), episode(shot, size)
    with built_blank():
        network = module.PFENet(pretrained=False, shot=shot)
    same_weights(method, network)
    return forward_pair(
        f"{title} {shot}-shot", method, batch, partial(network, *inputs(method, batch))
    )


def bam(clone: Path, size: int) -> Iterator[Pair]:
    """One shot and five."""
    (module,) = imported(clone, "model.BAM")
    for shot in (5, 1):
        method, batch = random_method("bam", DEEP, shot), episode(shot, size)
        with built_blank():
            network = module.OneModel(Namespace(**SETTINGS, shot=shot), cls_type="Novel")
        same_weights(method, network)
        query, supports, masks = inputs(method, batch)
        classes = [torch.tensor([0])]

        def official(network=network, inputs=(query, supports, masks), classes=classes) -> Tensor:
            return network(*inputs, y_m=None, y_b=None, cat_idx=classes)[0]

        yield forward_pair(f"BAM {shot}-shot", _of_novel(method), batch, official)


def hdmnet(clone: Path, size: int) -> Iterator[Pair]:
    """One shot, five, and a step."""
    (module,) = imported(clone, "model.HDMNet")
    for shot in (5, 1):
        method, network = _hdmnet(module, shot, "Novel")
        batch = episode(shot, size)
        query, supports, masks = inputs(method, batch)

        def official(network=network, inputs=(query, supports, masks)) -> Tensor:
            return network(inputs[0], s_x=inputs[1], s_y=inputs[2])[0]

        yield forward_pair(f"HDMNet {shot}-shot", _of_novel(method), batch, official)
    method, network = _hdmnet(module, 1, "Base")
    batch = episode(1, size)
    query, supports, masks = inputs(method, batch)
    network.train()
    network.freeze_modules(network)
    _freeze_norm(network)  # `fix_bn` of their configuration

    def loss() -> Tensor:
        labels = batch.query_mask
        known, classes = {"s_x": supports, "s_y": masks}, [torch.tensor([0])]
        _, main, distillation, _ = network(query, labels, labels, **known, cat_idx=classes)
        return main + distillation

    yield training_pair("HDMNet train step", method, batch, network, loss)


def _hdmnet(module: Any, shot: int, kind: str) -> tuple[Any, nn.Module]:
    method = random_method("hdmnet", DEEP, shot)
    with built_blank():
        network = module.OneModel(Namespace(**SETTINGS, shot=shot), cls_type=kind)
    return method, same_weights(method, network)


def asgnet(clone: Path, size: int) -> Iterator[Pair]:
    """One shot, with the placing of seeds on both sides, and without it on theirs, as their loader
    does it before."""
    module, seeding = imported(clone, "model.asgnet", "util.seed_init")
    method, batch = random_method("asgnet", DEEP, 1), episode(1, size)
    with built_blank():
        network = module.Model(Namespace(**SETTINGS, shot=1))
    same_weights(method, network)
    query, supports, masks = inputs(method, batch)

    def seeds() -> Tensor:
        return seeding.place_seed_points(masks[0, 0], 8, 5, 100)[None, None]

    placed = seeds()
    yield forward_pair(
        "ASGNet 1-shot, both place seeds",
        method,
        batch,
        lambda: network(query, supports, masks, seeds()),
    )
    yield forward_pair(
        "ASGNet 1-shot, official without placing seeds",
        method,
        batch,
        lambda: network(query, supports, masks, placed),
    )


def hsnet(clone: Path, size: int) -> Iterator[Pair]:
    """One shot, at most `HSNET` pixels."""
    (module,) = imported(clone, "model.hsnet")
    method, batch = random_method("hsnet", "resnet50", 1), episode(1, min(size, HSNET))
    with built_blank():
        network = module.HypercorrSqueezeNetwork("resnet50", False)
    network.backbone.fc = nn.Identity()
    same_weights(method, network)
    query, supports, masks = inputs(method, batch)
    official = partial(network, query, supports[:, 0], masks[:, 0])
    yield forward_pair(f"HSNet 1-shot, {min(size, HSNET)} px", method, batch, official)


def _summed(network: nn.Module, *inputs: Tensor) -> Tensor:
    _, main, auxiliary = network(*inputs)
    return main + auxiliary


def _freeze_norm(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _of_novel(method: FewShotSegmenter) -> Callable[[Episode], Prediction]:
    """The method on classes that its base learner does not know, as in a test."""

    def call(batch: Episode) -> Prediction:
        return method(replace(batch, class_ids=torch.full_like(batch.class_ids, 20)))

    return call
