"""From a checkpoint alone to its method: built as the shapes say, and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fsslib.config import ConfigError
from fsslib.interop.base_classes import counted, released_classes
from fsslib.interop.checkpoint import Checkpoint, read_checkpoint
from fsslib.interop.fitting import build
from fsslib.interop.infer import Candidate, infer
from fsslib.interop.official import CheckpointLike, OfficialMisfit, load_official
from fsslib.interop.other_files import recognise
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner


def build_official(
    checkpoint: CheckpointLike,
    method: str | None = None,
    class_ids: Sequence[int] | None = None,
    fold: int | None = None,
    **parts_and_settings: Any,
) -> FewShotSegmenter:
    """The method that a checkpoint is of, built as its shapes say and loaded, in evaluation mode.

    Args:
        method: its name, where the nearest is not the one that is meant.
        class_ids: base classes of a file with a base learner, in the order of its logits;
        fold: or the fold that it was trained for, of the released code's benchmarks.
        parts_and_settings: what the file does not show, or in place of what it does: `preset`,
            `prior`, parts such as `clip`, settings of the method.

    Raises:
        OfficialMisfit: no method fits, or the file does not say enough: names what to give.
        WeightsError: the file cannot be read.
    """
    held = read_checkpoint(checkpoint)
    chosen = _chosen(held, method)
    ids = _class_ids(held, chosen, class_ids, fold)
    lacking = [name for name in chosen.unknown_settings if name not in parts_and_settings]
    if chosen.facts.clip and not chosen.facts.clip.name and "clip" not in parts_and_settings:
        lacking.append("clip")
    if lacking:
        raise OfficialMisfit(
            f"{held.origin} does not show {lacking[0]}=, which differs from the usual; give it "
            f"({chosen.words})"
        )
    with torch.random.fork_rng(devices=[]):
        model = build(chosen.facts, ids, **parts_and_settings)
    load_official(model, held)
    return model.requires_grad_(False) if isinstance(model, BaseLearner) else model


def _chosen(held: Checkpoint, method: str | None) -> Candidate:
    candidates = infer(held).candidates
    if method is not None:
        named = [each for each in candidates if each.method == method]
        if not named:
            known = sorted(each.method for each in candidates)
            raise ConfigError(f"method={method!r}: expected one of {known}")
        return named[0]
    best = candidates[0]
    if known := recognise(held):
        raise OfficialMisfit(f"{held.origin} is {known.what}, no method; {known.use}")
    if not best.fits:
        raise OfficialMisfit(
            f"{held.origin} fits no method here; nearest is {best.method} ({best.comparison})"
        )
    return best


def _class_ids(
    held: Checkpoint, chosen: Candidate, class_ids: Sequence[int] | None, fold: int | None
) -> Sequence[int]:
    if chosen.classes is None:
        return ()
    if class_ids is None and fold is None:
        raise OfficialMisfit(
            f"{held.origin} knows {counted(chosen.classes)} and does not say which: give fold=, "
            "the one that it was trained for, or class_ids="
        )
    ids = released_classes(chosen.classes, fold) if class_ids is None else tuple(class_ids)
    if len(ids) != chosen.classes:
        raise OfficialMisfit(
            f"{held.origin} knows {counted(chosen.classes)}, and class_ids are {len(ids)}"
        )
    return ids
