"""Names of a package that are imported when they are first asked for.

A package's `__init__` may offer names of heavy modules, as `fsslib.methods` does of every network,
and yet cost nothing to those who only want a light module of it:

    __getattr__, __all__ = lazy_names(__name__, {"fsslib.methods.pfenet": ("PFENet",)})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], list[str]]:
    """A package's `__getattr__` (PEP 562) and `__all__`.

    Args:
        modules: by a module's full name, the names that it defines.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return __getattr__, sorted(homes)
