"""Checkpoints: written whole or not at all, and enough in them to go on exactly.

The one before is kept beside each (`previous_of`). A checkpoint whose bytes have changed since they
were written is told by the checksums that every zip has, and the one before is used in its place.
"""

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fsslib.config import differences
from fsslib.encoders.reading import read_content
from fsslib.encoders.storage import WeightsError, not_finite
from fsslib.files import atomic_path
from fsslib.training.journal import TrainingDiverged
from fsslib.training.rules import CHANGES_NOTHING


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
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:  # torch's own writer does not say that a disk is full
            torch.save({"fingerprint": fingerprint, "random": random, **content}, file)
        _keep(path)


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return path.with_stem(f"{path.stem}_before")


def _keep(path: Path) -> None:
    """The last checkpoint under its second name, without a moment in which there is none."""
    if not path.exists():
        return
    with atomic_path(previous_of(path)) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)


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
        try:
            part.load_state_dict(saved.pop(name))
        except Exception as error:  # each part, ours or torch's, has its own kinds
            reason = (str(error) or type(error).__name__).partition("\n")[0][:160]
            raise _foreign(path, f"{name}: {reason}") from error
    for name, value in fresh.items():
        if name in saved and not _alike(value, saved[name]):
            raise _foreign(path, f"{name} is a {type(saved[name]).__name__}")
    return {**fresh, **saved}


def _alike(usual: Any, value: Any) -> bool:
    """Whether a value may stand where the usual one does."""
    if usual is None or value is None:
        return True
    if isinstance(usual, int | float):
        return isinstance(value, int | float)
    return isinstance(value, Mapping) if isinstance(usual, Mapping) else True


def _foreign(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds something else than this training's checkpoint ({what}); use another "
        "output folder, or remove it to start anew"
    )


def load_checkpoint(
    path: Path, fingerprint: dict[str, Any], device: torch.device | str = "cpu"
) -> dict[str, Any] | None:
    """The content of a checkpoint, random generators restored; None if there is none. Where it is
    damaged the one before is read, with a warning.

    Raises:
        CheckpointError: both are damaged, or it was made with other settings (names them).
    """
    before = previous_of(path)
    if not path.exists() and not before.exists():
        return None
    try:
        content = _read(path)
    except CheckpointError as error:
        if not before.exists():
            raise
        content = _read(before)
        warnings.warn(f"{error}; going on from {before.name}, the one before it", stacklevel=2)
    if changed := differences(content["fingerprint"], fingerprint, CHANGES_NOTHING):
        raise CheckpointError(
            f"{path} belongs to a run with other settings ({changed}); "
            "use another output folder, or remove it to start anew"
        )
    random = content.pop("random")
    try:
        torch.set_rng_state(random["cpu"])
        if random["cuda"] and torch.device(device).type == "cuda":
            torch.cuda.set_rng_state(random["cuda"][0], device)
    except (RuntimeError, TypeError, LookupError) as error:
        raise _foreign(path, "no state of random generators") from error
    return content


def _read(path: Path) -> dict[str, Any]:
    """A whole checkpoint; CheckpointError for one that is damaged or something else."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile, zlib and the disk each raise their own kinds
        raise CheckpointError(
            f"{path} is damaged and cannot be read ({error}); remove it to start anew"
        ) from error
    if damaged:
        raise CheckpointError(
            f"{path} is damaged: {damaged} has another checksum than when it was written; remove "
            "it to start anew"
        )
    try:
        content = read_content(path)
    except WeightsError as error:
        raise CheckpointError(f"{error}; remove it to start anew") from error
    known = isinstance(content, dict) and all(isinstance(name, str) for name in content)
    for name in ("fingerprint", "random"):
        if not known or not isinstance(content.get(name), dict):
            raise _foreign(path, f"a {type(content).__name__} without {name}")
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
