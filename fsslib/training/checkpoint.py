"""Checkpoints: written whole or not at all, and enough in them to go on exactly."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fsslib.config import differences
from fsslib.encoders.storage import not_finite
from fsslib.files import atomic_path
from fsslib.training.journal import TrainingDiverged

CHANGES_NOTHING = frozenset(
    {"workers", "checkpoint_every", "log_every", "monitor_every", "accumulate"}
)
"""Settings that a run may be continued with others of: they are of the machine, and change no
weight. (`accumulate` changes the order in which gradients are added, and with it their last bits;
where it changes more, because BatchNorm learns, the engine says so in the fingerprint.)"""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or belongs to another run."""


def save_checkpoint(
    path: Path,
    content: dict[str, Any],
    fingerprint: dict[str, Any],
    parts: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> None:
    """Save tensors and plain values together with the state of torch's random generators.

    Args:
        fingerprint: the settings that must be equal for the run to be continued, save those that
            change nothing.
        parts: models and optimisers by name, whose states are saved under it.
        device: whose random generator is saved beside the CPU's.

    Raises:
        TrainingDiverged: a weight is not finite; the checkpoint before stays as it is.
    """
    content = content | {name: part.state_dict() for name, part in (parts or {}).items()}
    _require_finite(content)
    on_gpu = torch.device(device).type == "cuda"
    # Of the device in use only: a machine with fewer of them must be able to go on.
    cuda = [torch.cuda.get_rng_state(device)] if on_gpu else []
    random = {"cpu": torch.get_rng_state(), "cuda": cuda}
    # Through a file object: torch's own writer does not say that a disk is full.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save({"fingerprint": fingerprint, "random": random, **content}, file)


def go_on(
    path: Path,
    fingerprint: dict[str, Any],
    fresh: dict[str, Any],
    parts: Mapping[str, Any],
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Where a training stands: what its checkpoint says, its states loaded into `parts`; `fresh` if
    there is none. Raises as `load_checkpoint`."""
    saved = load_checkpoint(path, fingerprint, device)
    if saved is None:
        return dict(fresh)
    if missing := sorted(parts.keys() - saved.keys()):
        raise CheckpointError(
            f"{path} holds no {', '.join(missing)}: another version of this training wrote it; "
            "use another output folder, or remove it to start anew"
        )
    for name, part in parts.items():
        part.load_state_dict(saved.pop(name))
    return {**fresh, **saved}


def load_checkpoint(
    path: Path, fingerprint: dict[str, Any], device: torch.device | str = "cpu"
) -> dict[str, Any] | None:
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
    if random["cuda"] and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(random["cuda"][0], device)
    return content


def _require_finite(content: Mapping[str, Any]) -> None:
    """TrainingDiverged for NaN or infinity in any state of named tensors."""
    for name, state in content.items():
        if not isinstance(state, Mapping):
            continue
        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        if broken := not_finite(tensors):
            raise TrainingDiverged(
                f"{name}: {broken[:5]} hold values that are not finite. Lower lr, set "
                "max_grad_norm=1, or use precision='fp32'; the last checkpoint is from before"
            )
