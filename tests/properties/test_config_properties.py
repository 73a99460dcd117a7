"""Configurations: bounds, casts and the grammar, for any values."""

import dataclasses
import importlib
import pkgutil
import types
from math import isfinite
from typing import Annotated, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fsslib
from fsslib.config import LONGEST_MESSAGE, Bound, ConfigError, cast
from fsslib.grammar import format_group, parse_group, plain_yaml
from fsslib.settings import Settings, hints

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30)
PLAIN = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), WORDS),
    st.lists(st.integers(-5, 5), max_size=3),
)
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,12}", fullmatch=True)


def configurations():
    for module in pkgutil.walk_packages(fsslib.__path__, "fsslib."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    left, kinds = [Settings], []
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            if dataclasses.is_dataclass(kind) and kind.__module__.startswith("fsslib."):
                kinds.append(kind)
    return sorted(set(kinds), key=lambda kind: (kind.__module__, kind.__name__))


CONFIGURATIONS = configurations()


def unbounded(kind):
    """Whether a number of this type may be anything."""
    if get_origin(kind) is Annotated:
        return not any(isinstance(note, Bound) for note in get_args(kind))
    if get_origin(kind) in (Union, types.UnionType, tuple):
        return any(unbounded(part) for part in get_args(kind))
    return kind in (int, float)


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_every_number_of_a_configuration_has_a_bound(kind):
    assert [name for name, type_ in hints(kind).items() if unbounded(type_)] == []


def test_the_configurations_are_there():
    names = {kind.__name__ for kind in CONFIGURATIONS}
    assert {"TrainConfig", "Protocol", "MocoConfig", "EvaluateConfig", "PFENetConfig"} <= names


def fits(value, kind):
    """Whether a value is what a field's type says, by itself."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fits(value, inside[0]) and all(value in note for note in inside[1:])
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = [inside[0]] * len(value) if inside[-1] is Ellipsis else inside
        return len(kinds) == len(value) and all(map(fits, value, kinds))
    if kind is float:
        return isinstance(value, float) and isfinite(value)
    if kind is int:
        return type(value) is int and abs(value) < 2**63
    return value is None if kind is type(None) else isinstance(value, kind)


FIELDS = [
    (f"{kind.__name__}.{name}", t) for kind in CONFIGURATIONS for name, t in hints(kind).items()
]


@settings(max_examples=400)
@given(st.sampled_from(FIELDS), PLAIN)
def test_a_field_takes_what_fits_its_type_and_refuses_the_rest_in_a_line(field, value):
    name, kind = field
    try:
        converted = cast(value, kind, name)
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) <= LONGEST_MESSAGE
        assert not fits(value, kind)
        return
    assert fits(converted, kind), (value, converted, kind)
    assert cast(converted, kind, name) == converted


@given(st.none() | NAMES, st.dictionaries(NAMES, PLAIN, max_size=4))
def test_a_group_is_read_as_it_was_written(head, changes):
    changes = {name: value for name, value in changes.items() if _writable(value)}
    assert parse_group("group", format_group(head, changes)) == (head, changes)


def _writable(value):
    """What is no number of JSON cannot be written."""
    return not (isinstance(value, float) and (not isfinite(value) or value != float(f"{value}")))


@given(st.text(max_size=60) | st.text("!&*[]{}:-\"' \n\t,?|>%@`=0123456789.eE+_ab", max_size=40))
def test_any_text_is_yaml_of_plain_values_or_refused(text):
    try:
        value = plain_yaml(text)
    except ValueError:
        return
    _require_plain(value)


def _require_plain(value, depth=0):
    assert depth < 100
    if isinstance(value, dict):
        for one in (*value, *value.values()):
            _require_plain(one, depth + 1)
    elif isinstance(value, list | tuple | set):
        for one in value:
            _require_plain(one, depth + 1)
    else:
        known = ("NoneType", "bool", "int", "float", "str", "bytes", "date", "datetime")
        assert type(value).__name__ in known
