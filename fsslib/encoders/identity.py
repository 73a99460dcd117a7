"""What the answers of a frozen network depend on, as a key under which they can be kept.

The key holds every tensor (also buffers that no checkpoint has, such as mean and standard
deviation), every setting of every layer (strides, dilations, how positions are resized) and the
versions of the packages that the layers come from. It is made when it is asked for, and made anew
after the tensors have changed: `load_state_dict`, an optimiser and BatchNorm write in place, and
PyTorch counts that. Only what is written through `.data` goes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Value = TypeVar("Value")

POLICY = {"training", "trainable", "moving_statistics", "grad_checkpointing"}
"""Settings of a module that say how it learns, not what it answers."""
DIGITS = 24


class Keyed(nn.Module):
    """A network that has a key."""

    _state: tuple[tuple[int, int], ...] | None = None
    _made: dict[str, Any]

    @property
    def digest(self) -> str:
        """24 hexadecimal digits of all that an answer depends on besides the input and the
        arithmetic (`pass_cache.arithmetic`)."""
        return self.while_unchanged("digest", lambda: network_digest(self))

    def while_unchanged(self, what: str, make: Callable[[], Value]) -> Value:
        """`make()`, or what it gave before, as long as no tensor of the network has changed."""
        state = tuple(_writes(self))
        if state != self._state:
            self._state, self._made = state, {}
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def forget(self) -> None:
        """The key is made anew: for whoever changes a layer's settings, such as its stride."""
        self._state = None


def network_digest(network: nn.Module) -> str:
    """24 hexadecimal digits of what a network computes, and with which packages."""
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    about = [layer_settings(network), package_versions(network), state_digest(tensors)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:DIGITS]


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors, their types, shapes and names."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content = value.detach().cpu().contiguous().reshape(-1)
        digest.update(content.view(torch.uint8).numpy())  # numpy has no bfloat16
    return digest.hexdigest()


def layer_settings(network: nn.Module) -> list[tuple[str, str, dict[str, str]]]:
    """Name, class and plain settings of every layer, also those that its `repr` leaves out."""
    layers = []
    for name, module in network.named_modules():
        settings = {
            key: _plain(value)
            for key, value in sorted(vars(module).items())
            if not key.startswith("_") and key not in POLICY
        }
        plain = {key: value for key, value in settings.items() if value is not None}
        layers.append((name, f"{type(module).__module__}.{type(module).__qualname__}", plain))
    return layers


def package_versions(network: nn.Module) -> dict[str, str]:
    """Of PyTorch, and of each package that one of the layers' classes comes from."""
    modules = (kind.__module__ for each in network.modules() for kind in type(each).__mro__)
    roots = {"torch", *(module.split(".")[0] for module in modules)}
    versions = {root: getattr(sys.modules.get(root), "__version__", None) for root in roots}
    return {root: str(version) for root, version in sorted(versions.items()) if version}


def _writes(network: nn.Module) -> Iterator[tuple[int, int]]:
    """Which tensors a network holds, and how often each was written to."""
    for module in network.modules():  # by hand: half the time of parameters() and buffers()
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                yield id(tensor), 0 if tensor.is_inference() else tensor._version


def _plain(value: Any) -> str | None:
    """A setting as text: a number, a word, a function's name or several of them; else None."""
    if isinstance(value, (tuple, list)):
        parts = [_plain(part) for part in value]
        return None if None in parts else f"({', '.join(parts)})"
    if callable(value) and not isinstance(value, nn.Module):
        return getattr(value, "__qualname__", None)
    return repr(value) if isinstance(value, (bool, int, float, str, torch.dtype)) else None
