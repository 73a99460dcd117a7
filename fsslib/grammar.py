"""One grammar for a group of settings: a name, then changes, "hdmnet lr=1e-4 optimizer=sgd"."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from fsslib.config import ConfigError, shown


def parse_group(parameter: str, text: str) -> tuple[str | None, dict[str, Any]]:
    """`"scenes vvp=false"` as ("scenes", {"vvp": False}); the name in front may be missing.

    Values are YAML; one with spaces stands in quotes: `weights='my file.pth'`.

    Raises:
        ConfigError: naming the `parameter`: quotes left open, a value that is no YAML, a second
            name, a change made twice.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"{parameter}={shown(text)}: {error}; quote values as in name='a b'"
        ) from None
    head = words.pop(0) if words and "=" not in words[0] else None
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{parameter}: {shown(word)}; expected changes as name=value")
        if name in changes:
            raise ConfigError(f"{parameter}={shown(text)}: {shown(name)} is given twice")
        try:
            changes[name] = plain_yaml(value)
        except ValueError as error:
            raise ConfigError(
                f"{parameter}: {shown(word)}; the value is no YAML ({error}), expected such as "
                "name=0.5 or name=[1,2], without spaces"
            ) from error
    return head, changes


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 and Python do; YAML 1.1 wants 1.0e-4."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def plain_yaml(text: str) -> Any:
    """What a YAML text says: plain values, lists and sets of them; no tag makes an object.

    Raises:
        ValueError: what is wrong with it, in a few words.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "characters that YAML does not know"
    except (ValueError, RecursionError) as error:  # a date that is none, 5,000 digits, …
        problem = "too deep" if isinstance(error, RecursionError) else str(error)
    raise ValueError(problem)


def split_sources(text: str) -> list[str]:
    """`"pi_clip vvp=false + region"` as its groups; the + of a number, 1e+3, is none."""
    return re.split(r"\s*\+\s*(?=[A-Za-z_./~])", text.strip())


def parse_preset(parameter: str, text: str) -> tuple[str, dict[str, Any]]:
    """Like `parse_group`, with a preset's name that must be there."""
    preset, changes = parse_group(parameter, text)
    if preset is None:
        raise ConfigError(
            f"{parameter}={shown(text)}: expected a preset's name first, then changes to it as "
            "name=value"
        )
    return preset, changes


def reads_as_itself(text: str) -> bool:
    """Whether YAML takes a bare text for that text, not for a number, a list, nothing, …"""
    try:
        return plain_yaml(text) == text
    except ValueError:
        return False


def format_group(head: str | None, changes: Mapping[str, Any]) -> str:
    """What `parse_group` reads: `format_group("scenes", {"vvp": False})` is "scenes vvp=false"."""
    words = [head] if head else []
    for name, value in changes.items():
        plain = list(value) if isinstance(value, tuple) else value
        text = value if isinstance(value, str) else json.dumps(plain, separators=(",", ":"))
        if isinstance(value, str) and not reads_as_itself(value):
            # "1" as text is not the number 1.
            text = yaml.safe_dump(value, default_style='"', width=math.inf).strip()
        words.append(
            shlex.quote(f"{name}={text}") if re.search(r"[\s'\"\\]", text) else f"{name}={text}"
        )
    return " ".join(words)
