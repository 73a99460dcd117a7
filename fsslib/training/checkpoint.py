"""Checkpoints: written whole or not at all, and enough in them to go on exactly."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fsslib.config import differences
from fsslib.files import atomic_path

CHANGES_NOTHING = frozenset({"workers", "checkpoint_every", "log_every", "monitor_every"})
"""Settings that a run may be continued with others of: they change no weight."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or belongs to another run."""


def save_checkpoint(
    path: Path,
    content: dict[str, Any],
    fingerprint: dict[str, Any],
    parts: Mapping[str, Any] | None = None,
) -> None:
    """Save tensors and plain values together with the state of torch's random generators.

    Args:
        fingerprint: the settings that must be equal for the run to be continued, save those that
            change nothing.
        parts: models and optimisers by name, whose states are saved under it.
    """
    content = content | {name: part.state_dict() for name, part in (parts or {}).items()}
    # Of the current device only: a machine with fewer of them must be able to go on.
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    random = {"cpu": torch.get_rng_state(), "cuda": cuda}
    with atomic_path(path) as temporary:
        torch.save({"fingerprint": fingerprint, "random": random, **content}, temporary)


def go_on(
    path: Path, fingerprint: dict[str, Any], fresh: dict[str, Any], parts: Mapping[str, Any]
) -> dict[str, Any]:
    """Where a training stands: what its checkpoint says, its states loaded into `parts`; `fresh` if
    there is none. Raises as `load_checkpoint`."""
    saved = load_checkpoint(path, fingerprint)
    if saved is None:
        return dict(fresh)
    for name, part in parts.items():
        part.load_state_dict(saved.pop(name))
    return saved


def load_checkpoint(path: Path, fingerprint: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a checkpoint, random generators restored; None if there is none.

    Raises:
        CheckpointError: unreadable, or made with other settings (names them).
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); remove it to start anew"
        ) from error
    if changed := differences(content["fingerprint"], fingerprint, CHANGES_NOTHING):
        raise CheckpointError(
            f"{path} belongs to a run with other settings ({changed}); "
            "use another output folder, or remove it to start anew"
        )
    random = content.pop("random")
    torch.set_rng_state(random["cpu"])
    if random["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"][0])
    return content
