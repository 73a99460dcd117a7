"""The tensors of a checkpoint, in whatever its training wrapped them.

Training codes save the state dict beside an optimiser and an epoch, under a name of their own, and
with the prefixes of `DataParallel`, `torch.compile` or a Lightning module. All of that is taken off
here, and remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fsslib.encoders.weights import WeightsError, read_content

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params")
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "teacher")
"""Names of running averages, which are read where nothing else is there."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "ema_model.")
DEPTH = 3
_NO_WEIGHTS = re.compile(r"(.*\.)?(n_averaged|total_ops|total_params)$")
"""Counters of averaging and of profilers, left in by mistake."""


@dataclass(frozen=True)
class Checkpoint:
    """A state dict, and what it was taken out of."""

    state: dict[str, Tensor]
    origin: str
    """The file's name, or "state dict"."""
    path: tuple[str, ...] = ()
    """Names that the state dict was found under, outermost first."""
    prefixes: tuple[str, ...] = ()
    """What stood before every key, outermost first."""
    averaged: str = ""
    """Name of a running average of the weights beside them, which is not read."""
    file: Path | None = None

    @property
    def prefix(self) -> str:
        return "".join(self.prefixes)

    def spelled_like(self, expected: Iterable[str]) -> dict[str, Tensor]:
        """The state dict with as many of the prefixes as fit the most of these keys: a network can
        have a part `net`, too."""
        beginnings = ["".join(self.prefixes[n:]) for n in range(len(self.prefixes), -1, -1)]
        known = set(expected)
        best = max(beginnings, key=lambda each: sum(each + key in known for key in self.state))
        return {best + key: value for key, value in self.state.items()}

    @property
    def wrapping(self) -> str:
        """In words; empty for a bare state dict."""
        words = [f'under "{"/".join(self.path)}"'] if self.path else []
        words += [f'prefix "{self.prefix}"'] if self.prefix else []
        words += [f'a running average beside it, "{self.averaged}"'] if self.averaged else []
        return ", ".join(words)


def read_checkpoint(
    checkpoint: Path | str | Mapping[str, Any] | Checkpoint, shapes_only: bool = False
) -> Checkpoint:
    """A checkpoint's tensors in fp32, without wrappers and prefixes. No code in a file is run.

    Args:
        checkpoint: a file, a state dict, or a dictionary around one, up to three deep.
        shapes_only: tensors on the meta device; a file's values are not read.

    Raises:
        WeightsError: a file that is not there or cannot be read, or no tensors in it.
    """
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    file = None if isinstance(checkpoint, Mapping) else Path(checkpoint).expanduser()
    origin = "the state dict" if file is None else file.name
    device = "meta" if shapes_only else "cpu"
    content = checkpoint if file is None else read_content(file, device)
    state, path, averaged = _unwrapped(content, origin)
    state = {key: value for key, value in state.items() if not _NO_WEIGHTS.match(key)}
    state, prefixes = _without_prefixes(state)
    ready = {key: _converted(value, shapes_only) for key, value in state.items()}
    return Checkpoint(ready, origin, path, prefixes, averaged, file)


def _converted(value: Tensor, shapes_only: bool) -> Tensor:
    if shapes_only:
        return value.detach().to("meta")
    return value.detach().float() if value.is_floating_point() else value.detach()


def _unwrapped(content: Any, origin: str) -> tuple[dict[str, Tensor], tuple[str, ...], str]:
    """Tensors by name, the names they were found under, and that of an average beside them."""
    path, averaged = [], ""
    for _ in range(DEPTH + 1):
        if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
            break
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        name = _inner(content)
        if name is None or len(tensors) > len(content) / 2:
            if tensors:
                return tensors, tuple(path), averaged
            break
        averages = [key for key in AVERAGED if key != name and _holds_tensors(content.get(key))]
        averaged = averaged or (averages[0] if averages else "")
        path.append(name)
        content = content[name]
    kind, where = type(content).__name__, f" under {'/'.join(path)!r}" if path else ""
    raise WeightsError(
        f"{origin} holds no tensors by name{where}, only a {kind}; give a state dict"
    )


def _inner(content: Mapping[str, Any]) -> str | None:
    """The name of the dictionary that holds the weights: a usual one, or the only one."""
    for name in (*WRAPPERS, *AVERAGED):
        if _holds_tensors(content.get(name)):
            return name
    others = [
        name
        for name, value in content.items()
        if "optim" not in name and "sched" not in name and _holds_tensors(value)
    ]
    return others[0] if len(others) == 1 else None


def _holds_tensors(value: Any, depth: int = DEPTH) -> bool:
    if not isinstance(value, Mapping) or {"param_groups", "state"} <= value.keys():
        return False
    inside = value.values()
    return any(isinstance(each, Tensor) for each in inside) or (
        depth > 1 and any(_holds_tensors(each, depth - 1) for each in inside)
    )


def _without_prefixes(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Without what stands before every key; `module.` goes from each key that has it."""
    removed = []
    while state:
        common = next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)
        if common is None:
            break
        state = {key.removeprefix(common): value for key, value in state.items()}
        removed.append(common)
    return {key.removeprefix("module."): value for key, value in state.items()}, tuple(removed)
