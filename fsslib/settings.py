"""Settings: frozen dataclasses whose fields say what they accept and whose numbers come in presets.

A subclass declares fields with a type, a bound where one is needed, and a docstring below; it names
its sets of numbers in `presets`. Everything else follows from that: checks on construction, the
grammar "preset name=value name=value", and what `--help` prints.

    @dataclass(frozen=True)
    class DecoderConfig(Settings):
        dim: Count = 256
        \"\"\"Channels of the decoder.\"\"\"

        @classmethod
        def presets(cls):
            return {"paper": {}, "scenes": {"dim": 64}}

    DecoderConfig.parse("decoder", "scenes dim=32")
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self, get_type_hints

from fsslib.config import Bound, ConfigError, cast, in_words, strict
from fsslib.grammar import parse_preset

Count = Annotated[int, Bound(least=1)]
"""A whole number, 1 or more."""
Natural = Annotated[int, Bound(least=0)]
"""A whole number, 0 or more."""
Positive = Annotated[float, Bound(above=0)]
NonNegative = Annotated[float, Bound(least=0)]
Fraction = Annotated[float, Bound(least=0, most=1)]
Fold = Annotated[int, Bound(least=0, most=3)]
Pixels = Annotated[int, Bound(least=1, most=8192)]
"""The side of a picture that a network looks at."""
Share = Annotated[float, Bound(above=0, most=1)]
"""A part of something, never nothing."""
Tap = Annotated[int, Bound(least=-64, most=63)]
"""A block of a network, counted from the first or (negative) from the last."""


Precision = Literal["fp32", "bf16", "fp16"]
"""What a forward pass computes in; fp16 on GPUs alone."""


GridFacet = Literal["dense", "tokens", "q", "k", "v"]
"""What is read of an encoder of cells: CLIP's features in the space of text, the tokens of a block,
or queries, keys or values of the last one."""


@dataclass(frozen=True)
class FieldNote:
    """What can be said of a field without an instance: for `--help` and generated cells."""

    name: str
    kind: Any
    default: Any
    """`dataclasses.MISSING` where a value is required."""
    text: str

    @property
    def accepted(self) -> str:
        """Its type and bounds in words."""
        return in_words(self.kind)


@contextmanager
def of_parameter(parameter: str) -> Iterator[None]:
    """Errors inside are about what this parameter says."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{parameter}: {error}") from error


class Settings:
    """Base class of all configurations with presets; see the module's text."""

    preset_word: ClassVar[str] = "preset"
    """What an unknown preset is called in the error."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """Changes to the defaults by the preset's name."""
        return {"default": {}}

    @classmethod
    def preset(cls, name: str, /, **changes: Any) -> Self:
        """A preset with `changes` on top; every value is checked.

        Raises:
            ConfigError: no such preset, unknown names, values that do not fit.
        """
        known = cls.presets()
        if name not in known:
            raise ConfigError(f"{cls.preset_word}={name!r}: expected one of {sorted(known)}")
        return strict(cls, known[name] | changes)

    @classmethod
    def parse(cls, parameter: str, text: str) -> Self:
        """`"scenes dim=32"`: a preset's name first, then changes; errors name the `parameter`."""
        preset, changes = parse_preset(parameter, text)
        with of_parameter(parameter):
            return cls.preset(preset, **changes)

    def __post_init__(self) -> None:
        for name, kind in hints(type(self)).items():
            object.__setattr__(self, name, cast(getattr(self, name), kind, name))

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, which is what decides a result: a field that
        is added later, with the default that was in force, changes no identity."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}


@cache
def hints(cls: type) -> dict[str, Any]:
    """Types of a dataclass's fields, bounds included."""
    known = get_type_hints(cls, include_extras=True)
    return {field.name: known[field.name] for field in fields(cls)}


@cache
def field_notes(cls: type) -> tuple[FieldNote, ...]:
    """Name, type, default and docstring of every field, inherited ones too, in their order."""
    texts: dict[str, str] = {}
    for kind in reversed(cls.__mro__):
        if kind.__module__.split(".")[0] not in ("builtins", "abc", "typing"):
            texts |= _texts_below_fields(kind)
    return tuple(
        FieldNote(
            field.name,
            hints(cls)[field.name],
            field.default if field.default_factory is MISSING else field.default_factory(),
            texts.get(field.name, ""),
        )
        for field in fields(cls)
    )


def _texts_below_fields(cls: type) -> dict[str, str]:
    """The string literals that stand right below a class's annotated fields."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # defined in a cell or generated
        return {}
    body = ast.parse(source).body[0].body
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def suitable_preset(config_class: type[Settings], preferred: str) -> str:
    """`preferred` where there is such a preset, else "paper", else the first there is."""
    known = config_class.presets()
    return next(name for name in (preferred, "paper", *known) if name in known)
