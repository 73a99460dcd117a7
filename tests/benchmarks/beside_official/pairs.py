"""A row: the same work by this package and by a paper's code, on the same weights and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from clones import on_cpu
from torch import Tensor, nn

from fsslib.bench import parts
from fsslib.data.episode import Episode
from fsslib.encoders import build_backbone
from fsslib.interop.official import official_state
from fsslib.methods import METHODS, build_method
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.base_learner import BaseLearner

Call = Callable[[], Any]


@dataclass(frozen=True)
class Pair:
    """One row of the table.

    Attributes:
        released: the official call as its scripts make it, where they keep more than they need:
            none of them tests under `torch.no_grad`.
        answers: of both sides, what has to agree; without dropout.
        tolerance: of their largest difference, in parts of the largest value.
    """

    name: str
    ours: Call
    official: Call
    released: Call | None = None
    answers: Callable[[], tuple[Tensor, Tensor]] | None = None
    tolerance: float = 1e-3

    def difference(self) -> float:
        """Largest difference of the answers, in parts of the largest value."""
        first, second = self.answers() if self.answers else (self.ours(), self.official())
        first, second = first.detach().float(), second.detach().float()
        if first.shape != second.shape:
            raise ValueError(f"{self.name}: shapes {tuple(first.shape)} and {tuple(second.shape)}")
        return ((first - second).abs().max() / second.abs().max()).item()


def random_method(
    name: str, backbone: str, shot: int, preset: str = "official", **more: Any
) -> FewShotSegmenter:
    """A method on a backbone with random weights and spread statistics; a base learner and an
    extractor where it has such parts."""
    torch.manual_seed(0)
    kind = METHODS.get(name)
    body = build_backbone(backbone, "random", dilated=kind.dilated)
    made: dict[str, Any] = dict(more)
    if "base" in kind.parts:
        made["base"] = BaseLearner(body, parts.BASE_CLASSES).freeze()
    if "extractor" in getattr(kind, "own_prior_parts", {}):
        made["extractor"] = build_backbone("resnet50", "random")
    presets = kind.config_class.presets()
    settings = {"shot": shot} if "shot" in kind.config_class.__dataclass_fields__ else {}
    chosen = preset if preset in presets else "paper"
    return _tamed(build_method(name, body, chosen, **made, **settings)).eval()


def _tamed(network: FewShotSegmenter) -> FewShotSegmenter:
    """Residual branches that add little, so that random weights keep features in a sane range."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(4.0)
    return network


def same_weights(method: FewShotSegmenter, official: nn.Module) -> nn.Module:
    """The official network with the method's weights, in evaluation mode."""
    official.load_state_dict(official_state(method))
    return official.eval()


def episode(shot: int, size: int) -> Episode:
    """One episode of noise."""
    return parts.episodes(1, shot, size)


def inputs(method: FewShotSegmenter, batch: Episode) -> tuple[Tensor, Tensor, Tensor]:
    """Query, supports (1,K,…) and masks (1,K,…) as released code takes them."""
    query = method.backbone.preprocess(batch.query_image)
    supports = method.backbone.preprocess(batch.support_images[0, 0])[None]
    return query, supports, batch.support_masks[:, 0].float()


def forward_pair(
    name: str,
    method: Callable[[Episode], Prediction],
    batch: Episode,
    official: Call,
    tolerance: float = 1e-3,
) -> Pair:
    """Predictions; `official` returns logits."""

    @torch.inference_mode()
    def ours() -> Tensor:
        return method(batch).logits

    def released() -> Tensor:
        with on_cpu():
            return official()

    return Pair(name, ours, torch.no_grad()(released), released, tolerance=tolerance)


def training_pair(
    name: str, method: FewShotSegmenter, batch: Episode, network: nn.Module, loss: Call
) -> Pair:
    """Steps down the loss by SGD; `loss` returns that of the official `network`.

    The losses are compared without dropout, which both sides draw in another order.
    """
    method.train()

    def our_loss() -> Tensor:
        return torch.stack(list(method.loss(method(batch), batch).values())).sum()

    def official_loss() -> Tensor:
        with on_cpu():
            return loss()

    def answers() -> tuple[Tensor, Tensor]:
        modules = [*method.modules(), *network.modules()]
        dropped = [m for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)]
        rates = [module.p for module in dropped]
        for module in dropped:
            module.p = 0.0
        try:
            return our_loss()[None], official_loss()[None]
        finally:
            for module, rate in zip(dropped, rates, strict=True):
                module.p = rate

    return Pair(name, _stepper(our_loss), _stepper(official_loss), answers=answers)


def _stepper(loss: Call) -> Call:
    """One step a call; the optimiser learns what got a gradient in the first."""
    optimizers: list[torch.optim.Optimizer] = []

    def step() -> None:
        value = loss()
        if not optimizers:
            value.backward()
            optimizers.append(torch.optim.SGD(_leaves(value), 1e-6, 0.9))
            return
        optimizers[0].zero_grad()
        value.backward()
        optimizers[0].step()

    return step


def _leaves(value: Tensor) -> list[Tensor]:
    """The parameters that a value was computed from."""
    seen, leaves, waiting = set(), {}, [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves[id(node.variable)] = node.variable
        waiting += [following for following, _ in node.next_functions]
    return list(leaves.values())
