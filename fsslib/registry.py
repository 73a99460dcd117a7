"""Classes by name: what the package holds, and what anyone adds from outside.

`@METHODS.register("pfenet")` gives a class its name. Wherever a name can stand, `module:Class` and
`path/to/file.py:Class` can stand too, and so can the class itself; all pass the same checks.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from fsslib.config import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names and their classes, all of them subclasses of `base`.

    Args:
        kind: what an entry is called in errors and parameters, such as "method".
        base: a class, or "module:Class" where importing it costs time.
        modules: where entries register that are imported when they are first asked for.
    """

    def __init__(
        self, kind: str, base: type[T] | str, modules: Mapping[str, str] | None = None
    ) -> None:
        self.kind, self._base, self.modules = kind, base, dict(modules or {})
        self._entries: dict[str, type[T]] = {}
        self._outside: dict[str, type[T]] = {}

    @property
    def base(self) -> type[T]:
        """The class that all entries are subclasses of."""
        return _imported(self.kind, self._base) if isinstance(self._base, str) else self._base

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: the class is found under `name`, and carries it as `cls.name`."""

        def enter(cls: type[T]) -> type[T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is {self._entries[name].__name__} already")
            cls.name = name
            self._entries[name] = cls
            return cls

        return enter

    def names(self) -> tuple[str, ...]:
        """Of what the package holds, in the order of registration."""
        return tuple(dict.fromkeys((*self.modules, *self._entries)))

    def get(self, name: str | type[T]) -> type[T]:
        """The class of a name, of `module:Class`, of `file.py:Class`, or the class itself.

        Raises:
            ConfigError: there is none, or it is no subclass of `base`.
        """
        if isinstance(name, type):
            return self._checked(name, name.__name__)
        self.require(name)
        if name in self.modules and name not in self._entries:
            importlib.import_module(self.modules[name])
        if name in self._entries or name in self._outside:
            return self._entries.get(name) or self._outside[name]
        return self._checked(_imported(self.kind, name), name)

    def require(self, name: str) -> None:
        """ConfigError for what can be no name of a class; imports nothing."""
        if name in self.modules or name in self._entries or name in self._outside or ":" in name:
            return
        near = difflib.get_close_matches(name, self.names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{self.kind}={name!r}: expected one of {list(self.names())}, or module:Class{hint}"
        )

    def _checked(self, cls: Any, name: str) -> type[T]:
        if not (isinstance(cls, type) and issubclass(cls, self.base)):
            raise ConfigError(
                f"{self.kind}={name!r}: {cls!r} is no subclass of {self.base.__module__}."
                f"{self.base.__name__}"
            )
        if inspect.isabstract(cls):
            missing = sorted(cls.__abstractmethods__)
            raise ConfigError(f"{self.kind}={name!r} does not define {missing} yet")
        if "name" not in vars(cls) and cls not in self._entries.values():
            cls.name = cls.__name__
            self._outside[cls.name] = cls
        return cls


def source_digest(name: str) -> str | None:
    """16 hexadecimal digits of the source file behind `module:Class`, which decides a result as a
    setting does; None for what the package holds itself."""
    if ":" not in name:
        return None
    cls = _imported("class", name)
    return _digest(Path(inspect.getfile(cls)).read_text())[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _imported(kind: str, name: str) -> Any:
    """The object that `module:Class` or `file.py:Class` names."""
    where, _, attribute = name.rpartition(":")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _by_name(where)
    except ImportError as error:
        raise ConfigError(
            f"{kind}={name!r}: {where!r} cannot be imported ({error}); give a module that lies in "
            "the current folder or on PYTHONPATH, or the path of a .py file"
        ) from error
    if not hasattr(module, attribute):
        classes = [k for k, v in vars(module).items() if inspect.isclass(v)]
        raise ConfigError(f"{kind}={name!r}: {where!r} defines no {attribute!r}, only {classes}")
    return getattr(module, attribute)


def _by_name(module: str) -> Any:
    """An installed module, or one of the current folder (a kernel's, a shell's)."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        file = Path(*module.split(".")).with_suffix(".py")
        if not file.is_file():
            raise
        return _from_file(file)


def _from_file(path: Path) -> Any:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ImportError(f"no file {path.name}")
    name = f"{path.stem}_{_digest(str(path) + path.read_text())[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]  # else the next question finds a module without its classes
            raise
    return sys.modules[name]
