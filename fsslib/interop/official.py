"""Reading checkpoints as the papers' authors publish them, key by key.

Each network's class says how its names are spelled there (`official_names`). Loading is strict:
every key of the file must be used, and every tensor of the model be given.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from fsslib.encoders.weights import WeightsError, read_state
from fsslib.methods.base import METHODS, OfficialNames

_UNUSED = re.compile(
    r"encoder\.\d|clip_model\.visual\.positional_embedding_new$|backbone\.(fc|classifier)\."
)
"""PSPNet lists its backbone twice; PI-CLIP's test adds a table to its CLIP; HSNet keeps the
classifier of its backbone."""
_OWN = ("class_ids",)
"""Ours alone: a base learner's file does not say which classes it knows."""


def official_name(key: str, names: OfficialNames) -> str:
    """A key of ours as the official code spells it; as it is, where no pattern fits."""
    for ours, its in names:
        if match := re.match(ours, key):
            return match.expand(its) + _rest(key[match.end() :], its)
    return key


def _rest(key: str, before: str) -> str:
    """HSNet's 4-D convolution calls its parts by number."""
    if not before.startswith("hpn_learner."):
        return key
    return key.replace("query.", "conv1.").replace("support.", "conv2.")


def load_official(
    model: nn.Module, checkpoint: Path | str | dict[str, Tensor], names: OfficialNames | None = None
) -> None:
    """Load an official checkpoint strictly: every key must be used, every tensor be given.

    Args:
        checkpoint: a file, or its state dict; keys with or without `module.`.
        names: by default those that the model's class declares (`official_names`).

    Raises:
        ValueError: no names for this class. WeightsError: names the missing and unknown keys, in
        the official spelling, or the shapes.
    """
    kind = type(model).__name__
    names = names or getattr(model, "official_names", ())
    if not names:
        known = sorted(n for n in METHODS.names() if METHODS.get(n).official_names)
        raise ValueError(f"{kind} has no official names; these methods have: {known}")
    state = checkpoint if isinstance(checkpoint, dict) else read_state(Path(checkpoint))
    state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not _UNUSED.match(key)}
    wanted = {
        official_name(key, names): (key, value)
        for key, value in model.state_dict().items()
        if key not in _OWN
    }
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    shapes = [
        f"{key}: file {tuple(state[key].shape)}, model {tuple(value.shape)}"
        for key, (_, value) in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unknown or shapes:
        raise WeightsError(
            f"checkpoint does not fit {kind}: missing {missing[:8]}, "
            f"unknown {unknown[:8]}, other shapes {shapes[:8]}"
        )
    ours = {own: state[key] for key, (own, _) in wanted.items()}
    model.load_state_dict(ours, strict=False)
