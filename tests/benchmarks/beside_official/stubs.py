"""Stand-ins for what released code imports and is not installed here.

Real ones are taken where there are any; the little of OpenCV and mmcv that is needed lies in
`stub_opencv.py` and `stub_mmcv.py`, and everything else may be imported, and is nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import packaging.version
import stub_mmcv
import stub_opencv

UNUSED = ("seaborn", "pandas", "networkx", "sklearn", "tensorboardX", "ttach", "lxml")


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """All stand-ins in their places, as far as the real ones are missing."""
    named: dict[str, Any] = {name: None for name in UNUSED if not _there(name)}
    made = {name: _Anything(name) for name in named}
    if not _there("cv2"):
        made["cv2"] = _module("cv2", **stub_opencv.CONTENTS)
    if not _there("pkg_resources"):
        made["pkg_resources"] = _module("pkg_resources", packaging=packaging)
    if not _there("omegaconf"):
        made["omegaconf"] = _module("omegaconf", OmegaConf=stub_mmcv.OmegaConf)
    if not _there("mmcv"):
        made |= {name: _module(name, **inside) for name, inside in stub_mmcv.CONTENTS.items()}
    for name, module in made.items():
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(made[parent], own, module)
    before = {name: sys.modules.get(name) for name in made}
    finder = _Below(tuple(made))
    sys.modules.update(made)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.split(".")[0] in made or n in made]:
            sys.modules.pop(name)
        sys.modules.update({name: module for name, module in before.items() if module})


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


class _Anything(ModuleType):
    """A module that has every name."""

    __path__: tuple = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _Below:
    """Finds `seaborn.distributions` below a stand-in."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] in self.roots and name not in sys.modules:
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        return _Anything(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


def _module(name: str, **contents: Any) -> ModuleType:
    module = _Anything(name)
    vars(module).update(contents)
    return module
