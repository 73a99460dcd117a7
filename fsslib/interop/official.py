"""Loading checkpoints as the papers' authors publish them, key by key.

Each network's class says how its names are spelled there (`official_names`). Loading is strict:
every key of the file must be used, and every tensor of the model be given. Where that fails, the
error says which setting to build the model with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from fsslib.encoders.weights import WeightsError
from fsslib.interop.base_classes import order_trouble
from fsslib.interop.checkpoint import Checkpoint, read_checkpoint
from fsslib.interop.facts import Difference, differences, facts_of
from fsslib.interop.fitting import compare, translated
from fsslib.interop.infer import candidate_of, infer, used
from fsslib.interop.other_files import recognise
from fsslib.methods.base import METHODS, FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.shapes import OfficialNames, official_name

__all__ = [
    "OfficialMisfit",
    "load_official",
    "official_name",
    "official_state",
]
Model = TypeVar("Model", bound=nn.Module)
CheckpointLike = Path | str | Mapping[str, Any] | Checkpoint


class OfficialMisfit(WeightsError):
    """A checkpoint that does not fit a model; the first sentence says what to change.

    Attributes:
        changes: what to build the model with, by setting or part.
    """

    def __init__(self, message: str, changes: Sequence[Difference] = ()) -> None:
        super().__init__(message)
        self.changes = {each.name: each.change for each in changes}


def load_official(
    model: Model, checkpoint: CheckpointLike, names: OfficialNames | None = None
) -> Model:
    """Load an official checkpoint strictly, into the model's parts too: every key must be used,
    every tensor be given. Afterwards the model is in evaluation mode.

    Args:
        checkpoint: a file, its state dict, or a dictionary around that; see `read_checkpoint`.
        names: by default those that the model's class declares (`official_names`).

    Returns:
        The model. Where others read its backbone, use `load_head`, which gives it one of its own.

    Raises:
        ValueError: no names for this class.
        OfficialMisfit: says which setting to change, then the keys in the official spelling; or
            that the model's base classes are not in the released code's order.
        WeightsError: the file cannot be read, or holds values that are not finite.
    """
    names = names or names_of(model)
    held = read_checkpoint(checkpoint)
    expected = translated(model, names)
    state = used(held.spelled_like(expected))
    comparison = compare(model, state, names)
    if not comparison.fits:
        raise _misfit(model, held, f"({comparison})")
    require_released_order(model)
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise WeightsError(f"{held.origin} holds values that are not finite in {broken[:5]}")
    ours = {own: state[key] for key, (own, _) in expected.items() if key in state}
    model.load_state_dict(ours, strict=False)
    return model.eval()


def names_of(model: nn.Module) -> OfficialNames:
    """How the released code spells the model's tensors; ValueError where its class does not say."""
    names = getattr(model, "official_names", ())
    if isinstance(model, FewShotSegmenter) and names:
        return model.official_names_on(model.backbone)
    if not names:
        known = sorted(name for name in METHODS.names() if METHODS.get(name).official_names)
        raise ValueError(
            f"{type(model).__name__} has no official names; these methods have: {known}"
        )
    return names


def require_released_order(model: nn.Module) -> None:
    """OfficialMisfit where the model's base classes cannot be a released file's."""
    ids = getattr(model, "base_classes", None)
    if ids is None and isinstance(model, BaseLearner):
        ids = model.class_ids.tolist()
    if ids is not None and (trouble := order_trouble(ids)):
        raise OfficialMisfit(trouble)


def _misfit(model: nn.Module, held: Checkpoint, keys: str) -> OfficialMisfit:
    """Why a checkpoint does not fit: a setting, another method, or keys alone."""
    kind = type(model).__name__
    if not isinstance(model, FewShotSegmenter):
        return OfficialMisfit(f"{held.origin} does not fit {kind} {keys}")
    if known := recognise(held):
        return OfficialMisfit(f"{held.origin} is no {kind} but {known.what} {keys}")
    state = used(held.state)
    read = candidate_of(type(model), state)
    best = read if read is not None and read.fits else infer(held).best
    if best.fits and best.kind is not type(model):
        return OfficialMisfit(
            f"{held.origin} is no {kind} but a {best.kind.__name__}: build_official() builds it "
            f"({best.words}) {keys}"
        )
    built = facts_of(type(model), model.state_dict(), official=False)
    mismatches = differences(facts_of(type(model), state), built)
    if not mismatches:
        return OfficialMisfit(
            f"{held.origin} does not fit this {kind}, and no setting explains it {keys}"
        )
    file, has, change = (
        ", ".join(getattr(each, side) for each in mismatches)
        for side in ("file", "model", "change")
    )
    return OfficialMisfit(
        f"{held.origin} does not fit this {kind}: it has {file}, and the model {has}; build the "
        f"model with {change} {keys}",
        mismatches,
    )


def official_state(model: nn.Module) -> dict[str, Tensor]:
    """A model's state dict as the released code spells it, to be read there."""
    names = names_of(model)
    return {official: value for official, (_, value) in translated(model, names).items()}
