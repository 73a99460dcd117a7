"""One way to load a trained head, ours or a released one.

A released file brings more than the head: its backbone, and where there is one the base learner,
the prior extractor, the CLIP. Networks that others may read as well are values: the method gets
copies of its own, and what it was built of stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar

from torch import nn

from fsslib.encoders.stages import StageBackbone
from fsslib.interop.base_classes import counted
from fsslib.interop.checkpoint import Checkpoint, read_checkpoint
from fsslib.interop.facts import facts_of, official_kinds
from fsslib.interop.fitting import USUAL_BASE, translated
from fsslib.interop.infer import infer
from fsslib.interop.official import CheckpointLike, OfficialMisfit, load_official, names_of
from fsslib.interop.other_files import recognise
from fsslib.methods.base import Around, FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig

Method = TypeVar("Method", bound=FewShotSegmenter)


def load_head(method: Method, checkpoint: CheckpointLike) -> Method:
    """Load a trained head: one that a run here has written, or a checkpoint of the released code.

    Args:
        method: with or without methods around it (`OneVersusRest`, a word's masks).

    Returns:
        The method, in evaluation mode. After an official file its backbone, base learner, extractor
        and CLIP are the file's, and no longer those that it was built of.

    Raises:
        WeightsError: the file cannot be read. OfficialMisfit: it is something else, or an official
            one that needs other settings, which it names. ValueError: a head of ours that needs
            other settings.
    """
    inner: FewShotSegmenter = method
    while isinstance(inner, Around):
        inner = inner.method
    held = read_checkpoint(checkpoint)
    if is_own_head(inner, held):
        inner.load_head_state(held.spelled_like(inner.head_state()))
    else:
        _require_official(inner, held)
        own_parts(inner)
        load_official(inner, held)
    return method.eval()


def is_own_head(method: FewShotSegmenter, checkpoint: CheckpointLike) -> bool:
    """Whether a file spells its keys as a head of this method here, not as the released code."""
    held = read_checkpoint(checkpoint, shapes_only=True)
    keys = method.head_state().keys()
    own = len(keys & held.spelled_like(keys).keys())
    official = 0
    if method.official_names:
        keys = translated(method, names_of(method)).keys()
        official = len(keys & held.spelled_like(keys).keys())
    return own > 0 and own >= official


def _require_official(method: FewShotSegmenter, held: Checkpoint) -> None:
    """OfficialMisfit for a file that is neither this method's head nor an official one's."""
    if method.official_names:
        return
    known, kind = recognise(held), type(method).__name__
    best = infer(held).best
    what = known.what if known else best.words if best.fits else "nothing that is known here"
    raise OfficialMisfit(f"{held.origin} is no head of {kind}, but {what}")


def own_parts(method: FewShotSegmenter) -> None:
    """Replace every frozen submodule by a copy; caches of answers stay shared."""
    memo = {
        id(module.cache): module.cache for module in method.modules() if hasattr(module, "cache")
    }
    for owner in list(method.modules()):
        names = getattr(owner, "frozen", ())
        for name in names if isinstance(names, tuple) else ():
            part = getattr(owner, name, None)
            if isinstance(part, nn.Module):
                setattr(owner, name, deepcopy(part, memo))


def brought_parts(checkpoint: CheckpointLike) -> tuple[str, ...]:
    """Names of the parts whose weights an official file brings: they need not be loaded before.
    None for heads of ours, and for what is no method's.

    Raises:
        WeightsError: the file cannot be read.
    """
    held = read_checkpoint(checkpoint, shapes_only=True)
    best = None if recognise(held) else infer(held).best
    return best.brings if best is not None and best.fits else ()


def untrained_base(
    backbone: StageBackbone, class_ids: Sequence[int], checkpoint: CheckpointLike
) -> BaseLearner:
    """A base learner of the size that an official file has, for `load_head` to fill.

    Raises:
        OfficialMisfit: the file knows more or fewer classes, or has no base learner.
    """
    held = read_checkpoint(checkpoint, shapes_only=True)
    facts = [facts_of(kind, held.state) for kind in official_kinds()]
    sizes = next(((each.classes, each.base_dim) for each in facts if each.classes), None)
    if sizes is None:
        raise OfficialMisfit(f"{held.origin} holds no base learner; give base=")
    if sizes[0] != len(class_ids):
        raise OfficialMisfit(
            f"{held.origin} knows {counted(sizes[0])}, and the run trains on {len(class_ids)}; "
            "give the benchmark that it was trained for, and held_out=0"
        )
    config = BaseLearnerConfig.preset("paper", dim=sizes[1] or USUAL_BASE[1], train_backbone=False)
    return BaseLearner(backbone, class_ids, config)
