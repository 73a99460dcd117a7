"""Strict dataclass configuration: every value is cast and checked, unknown names raise.

papermill only warns about an unknown parameter and hands ``1e-4`` from YAML over as a string;
`strict` turns both into what a reader expects: an error, and a float.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from math import inf, isfinite
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")
LONGEST, LONGEST_MESSAGE = 120, 1000
"""Characters of a value in an error, and of an error."""


class ConfigError(ValueError):
    """A configuration value that cannot be used; the message names it and says what to write, on
    one line of at most `LONGEST_MESSAGE` characters."""

    def __init__(self, message: str) -> None:
        line = " ".join(str(message).split())
        if len(line) > LONGEST_MESSAGE:
            line = f"{line[: LONGEST_MESSAGE // 2]} … {line[-(LONGEST_MESSAGE // 2 - 3) :]}"
        super().__init__(line)


@dataclass(frozen=True)
class Bound:
    """Where a number may lie; put into a field's type as `Annotated[int, Bound(least=1)]`."""

    least: float = -inf
    above: float = -inf
    """Like `least`, itself not included."""
    most: float = inf
    below: float = inf
    """Like `most`, itself not included."""

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        if isfinite(self.least) and isfinite(self.most):
            return f"{self.least:g} to {self.most:g}"
        parts = {
            "at least": self.least,
            "more than": self.above,
            "at most": self.most,
            "less than": self.below,
        }
        return " and ".join(f"{word} {v:g}" for word, v in parts.items() if isfinite(v))


def strict(cls: type[Config], values: dict[str, Any]) -> Config:
    """Build the dataclass `cls` from `values`, casting each one to the type its field declares.

    Raises:
        ConfigError: unknown name (with the nearest known one), missing value, or a value that
            does not fit its type. What `cls.__post_init__` raises passes through.
    """
    if not is_dataclass(cls):
        raise TypeError(f"strict() builds dataclasses, got {cls!r}")
    hints = get_type_hints(cls, include_extras=True)
    known = {field.name: field for field in fields(cls)}
    require_parameters(values, known)
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and name not in values:
            raise ConfigError(
                f"parameter {name!r} is missing: {cls.__name__} has no default for it"
            )
    return cls(**{name: cast(value, hints[name], name) for name, value in values.items()})


def require_parameters(names: Iterable[str], known: Iterable[str], where: str = "") -> None:
    """ConfigError for the first of the `names` that is not `known`, with the nearest that is."""
    known = sorted(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:LONGEST], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {known}"
            raise ConfigError(f"{where}unknown parameter {shown(name)}; {hint}")


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """ConfigError if `value` is not among the `known` ones."""
    if value not in known:
        raise ConfigError(f"{name}={shown(value)}: expected one of {list(known)}")


def differences(
    then: Mapping[str, Any], now: Mapping[str, Any], besides: Iterable[str] = ()
) -> str:
    """What two sets of values do not share, in words: "fold: 0 then, 1 now"; "" where they are
    equal. Names in `besides` do not count."""
    names = sorted((then.keys() | now.keys()) - set(besides))
    unlike = [name for name in names if then.get(name) != now.get(name)]
    return "; ".join(f"{name}: {then.get(name)!r} then, {now.get(name)!r} now" for name in unlike)


def cast(value: Any, kind: Any, name: str) -> Any:
    """`value` as `kind` (bool, int, float, str, Literal, Optional, tuple), else ConfigError."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _cast_bounded(value, kind, name)
    if origin in (Union, types.UnionType):
        return _cast_union(value, kind, name)
    if origin is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{name}={shown(value)}: expected one of {list(get_args(kind))}")
        return value
    if origin is tuple:
        return _cast_tuple(value, kind, name)
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise ConfigError(f"{name}={shown(value)}: expected {kind.__name__}")
    return _cast_plain(value, kind, name)


def _cast_bounded(value: Any, kind: Any, name: str) -> Any:
    inner, *notes = get_args(kind)
    number = cast(value, inner, name)
    for bound in notes:
        if isinstance(bound, Bound) and number not in bound:
            raise ConfigError(f"{name}={number}: expected {bound}")
    return number


def _cast_plain(value: Any, kind: type, name: str) -> Any:
    if kind is Any:
        return value
    if isinstance(value, kind):
        return _finite(value, name)
    if kind in (int, float) and isinstance(value, int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise ConfigError(f"{name}={shown(value)}: expected {kind.__name__}") from None
        if kind is float:
            return _finite(number, name)
        if number.is_integer():
            return _finite(int(number), name)
    raise ConfigError(f"{name}={shown(value)} ({type(value).__name__}): expected {kind.__name__}")


def shown(value: Any) -> str:
    """A value as it stands in an error: of a long one its beginning."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits
        return f"a very long {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _finite(value: Any, name: str) -> Any:
    """`value` unless it is `nan` or infinite: no comparison would ever refuse the former. Whole
    numbers are those that a tensor can hold."""
    if isinstance(value, float) and not isfinite(value):
        raise ConfigError(f"{name}={value}: expected a finite number")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ConfigError(f"{name}={shown(value)}: expected a whole number below 2^63")
    return value


def _cast_union(value: Any, kind: Any, name: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None and len(options) < len(get_args(kind)):
        return None
    if len(options) == 1:
        return _cast_or_null(value, options[0], name)
    for option in options:
        try:
            return cast(value, option, name)
        except ConfigError:
            continue
    raise ConfigError(f"{name}={shown(value)}: expected {in_words(kind)}")


def _cast_or_null(value: Any, kind: Any, name: str) -> Any:
    """`cast`, whose error also says that null would do."""
    try:
        return cast(value, kind, name)
    except ConfigError as error:
        raise ConfigError(f"{error} or null") from None


def in_words(kind: Any) -> str:
    """A type as people who write YAML call it: "int, at least 1", "'pad' or 'stretch'"."""
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(option) for option in get_args(kind))
    if origin is Annotated:
        inner, *notes = get_args(kind)
        return ", ".join([in_words(inner), *map(str, notes)])
    if origin is tuple:
        return f"list of {in_words(get_args(kind)[0])}"
    plain = {type(None): "null", float: "a finite number"}
    return plain.get(kind) or getattr(kind, "__name__", str(kind))


def _cast_tuple(value: Any, kind: Any, name: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name}={shown(value)}: expected a list")
    inner = get_args(kind)
    if inner[-1] is Ellipsis:
        return tuple(cast(item, inner[0], name) for item in value)
    if len(inner) != len(value):
        raise ConfigError(f"{name}={shown(value)}: expected {len(inner)} values, got {len(value)}")
    return tuple(cast(item, one, name) for item, one in zip(value, inner, strict=True))
