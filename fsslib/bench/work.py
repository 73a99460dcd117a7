"""From a row of a sweep to a call: an encoder's pass, a prior's maps, a method's work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from fsslib.bench import parts
from fsslib.data.episode import Episode
from fsslib.data.protocol import Protocol
from fsslib.encoders import is_backbone
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.pass_cache import PassCache
from fsslib.encoders.stages import StageBackbone
from fsslib.evaluation.evaluator import score_batch
from fsslib.evaluation.meter import Meter
from fsslib.grammar import parse_group
from fsslib.methods import PriorSpec, build_prior
from fsslib.methods.base import FewShotSegmenter, foreground
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.prior_guided import PriorGuided
from fsslib.training.descent import Descent
from fsslib.training.optimizers import build_optimizer

Case = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A call that can be made again and again."""

    call: Callable[[], object]
    units: int
    """Pictures or episodes that a call handles."""
    unit: str = "episodes"


def encoder_work(case: Case, device: str) -> Work:
    """All stages of a backbone, or a CLIP's dense features."""
    name, size, batch = case["name"], case["size"], case["batch"]
    if is_backbone(name):
        network = parts.backbone(name).to(device)
        run: Callable[[Tensor], object] = network
    else:
        network = parts.clip(name).to(device)
        size = -(-size // network.stride) * network.stride
        run = network.dense
    pictures = parts.noise(batch, 3, size, size).to(device)
    return Work(torch.inference_mode()(lambda: run(pictures)), batch, "pictures")


def prior_work(case: Case, device: str) -> Work:
    """A source's maps; the backbone's features are there already, as a method has them."""
    body, preset = case["backbone"], _preset(case)
    network = parts.backbone(body).to(device)
    spec = PriorSpec.parse(case["name"])
    types = {name: kind for one in spec.sources for name, kind in one.kind.parts.items()}
    made = parts.make_parts(types, (body, case["clip"]), True, preset, spec)
    source = build_prior(spec, PriorGuided, {"backbone": network, **made}, preset).to(device)
    shape = tuple(case[name] for name in ("batch", "shot", "size"))
    batch, features = _features(body, preset, shape, case["coverage"], device)
    return Work(torch.no_grad()(lambda: source(batch, features)), len(batch))


@cache
def _features(
    body: str, preset: str, shape: tuple[int, int, int], coverage: float, device: str
) -> tuple[Episode, EpisodeFeatures]:
    """Episodes and their features, each made when it is first read, once for all priors."""
    network = parts.backbone(body).to(device)
    batch, shot, size = shape
    episodes = parts.episodes(batch, shot, size, coverage=coverage).to(device)
    with torch.no_grad():
        images = episodes.support_images.flatten(0, 2)
        inputs = network.preprocess(episodes.query_image), network.preprocess(images)
    masks = foreground(episodes.support_masks[:, 0])
    learner = parts.base_learner(body, True, preset).to(device)
    return episodes, EpisodeFeatures(network, *inputs, masks, embed=learner.head.features)


def method_work(case: Case, device: str) -> Work:
    """A method's prediction, its step down the loss, or its prediction scored."""
    method, batch = parts.make_method(case).to(device), _episodes(case, device)
    calls = {"forward": _forward, "remembered": _remembered}
    calls |= {"train": _train, "evaluate": _evaluate}
    return Work(calls[case["work"]](method, batch, device), len(batch))


def _forward(method: FewShotSegmenter, batch: Episode, _: str) -> Callable[[], object]:
    method.eval()
    return torch.inference_mode()(lambda: method(batch))


def _remembered(method: FewShotSegmenter, batch: Episode, device: str) -> Callable[[], object]:
    """The encoders are shared with other rows, and remember during the call alone."""
    kinds, memory, call = (
        (StageBackbone, GridEncoder),
        PassCache(2**30),
        _forward(method, batch, ""),
    )
    networks = [module for module in method.modules() if isinstance(module, kinds)]

    def again() -> None:
        usual = [network.cache for network in networks]
        for network in networks:
            network.remember(memory)
        try:
            call()
        finally:
            for network, cache in zip(networks, usual, strict=True):
                network.remember(cache)

    again()  # sees the pictures
    return again


def _train(method: FewShotSegmenter, batch: Episode, device: str) -> Callable[[], object]:
    method.train()
    optimizer = build_optimizer(
        "adamw", method.parameters(), 1e-5, 1e-2, method.slow_parameters(), 0.1
    )
    descent = Descent(optimizer, device=device)

    def step() -> None:
        terms = method.loss(method(batch), batch)
        descent.down(torch.stack(list(terms.values())).sum(), 1e-5)

    return step


def _evaluate(method: FewShotSegmenter, batch: Episode, _: str) -> Callable[[], object]:
    method.eval()
    protocol = Protocol.preset(
        "scenes10i", image_size=batch.query_image.shape[-1], way=batch.way, shot=batch.shot
    )
    return torch.inference_mode()(lambda: score_batch(method, batch, protocol, Meter()))


def _episodes(case: Case, device: str) -> Episode:
    names = ("batch", "shot", "size", "way", "coverage")
    return parts.episodes(**{n: case[n] for n in names if n in case}).to(device)


def _preset(case: Case) -> str:
    """Of a prior's settings, where its text names none."""
    named = parse_group("name", case["name"])[1].get("preset")
    return named or (parts.EMBEDDED if case["backbone"].startswith(parts.EMBEDDED) else "paper")
