"""Importing the papers' released code from a clone, as it is, on a machine without a GPU.

All of these repositories call their packages `model` and `util`, so that each is imported with its
folder first on the path and forgotten by name afterwards. They load pretrained weights while they
are built, and move tensors with `.cuda()`: `built_blank` and `on_cpu` undo both. What they import
and is not installed, `stubs.py` stands in for.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import stubs
import torch
import torchvision
from torch import Tensor, nn

RENAMED = {
    "scipy.ndimage.morphology": "scipy.ndimage",
    "scipy.ndimage.filters": "scipy.ndimage",
}
"""Modules that have moved since."""


def imported(clone: Path, *names: str) -> list[ModuleType]:
    """Modules of a clone by their names in it.

    Raises:
        FileNotFoundError: no such folder, or not that repository.
    """
    if not clone.is_dir():
        raise FileNotFoundError(f"{clone}: expected the folder of a clone")
    before = dict(sys.modules)
    roots = {name.split(".")[0] for name in names} | {"model", "models", "util", "utils", "clip"}
    for name in [name for name in sys.modules if name.split(".")[0] in roots]:
        del sys.modules[name]
    for old, new in RENAMED.items():
        sys.modules.setdefault(old, importlib.import_module(new))
    sys.path.insert(0, str(clone))
    try:
        with stubs.installed(), on_cpu(), contextlib.redirect_stdout(io.StringIO()):
            return [importlib.import_module(name) for name in names]
    except ModuleNotFoundError as error:
        raise FileNotFoundError(f"{clone}: {error}; is it a clone of the right one?") from error
    finally:
        sys.path.remove(str(clone))
        for name in [name for name in sys.modules if name.split(".")[0] in roots]:
            del sys.modules[name]
        sys.modules.update({n: m for n, m in before.items() if n.split(".")[0] in roots})


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """`.cuda()` and `device="cuda"` mean the CPU."""
    arange = torch.arange

    def cpu_arange(*args: Any, **kwargs: Any) -> Tensor:
        return arange(*args, **{k: v for k, v in kwargs.items() if k != "device" or v != "cuda"})

    with (
        patch.object(Tensor, "cuda", lambda tensor, *_, **__: tensor),
        patch.object(nn.Module, "cuda", lambda module, *_, **__: module),
        patch.object(torch, "arange", cpu_arange),
    ):
        yield


@contextlib.contextmanager
def built_blank() -> Iterator[None]:
    """Networks are built without weights, whatever they ask for, and without a word."""
    nothing = {"state_dict": {}}
    with (
        on_cpu(),
        patch.object(torch, "load", lambda *_, **__: nothing),
        patch.object(torchvision.models._api, "load_state_dict_from_url", lambda *_, **__: {}),
        patch.object(nn.Module, "load_state_dict", lambda *_, **__: None),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield
