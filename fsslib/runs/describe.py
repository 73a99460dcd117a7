"""What can be set, read off the classes that define it: for `--help` and for generated cells."""

from __future__ import annotations

import re
import textwrap
from dataclasses import MISSING
from typing import Any, get_args, get_origin

from fsslib.config import in_words
from fsslib.data.protocol import Protocol
from fsslib.methods.registry import METHODS, PRIORS
from fsslib.runs.config import CONFIGS
from fsslib.runs.machine_config import MachineConfig
from fsslib.runs.networks import PartsConfig
from fsslib.settings import FieldNote, Settings, field_notes
from fsslib.training.recipe import TrainConfig

WIDTH = 96


def template_help(template: str) -> str:
    """The parameters of a template, and what its groups hold."""
    kind = CONFIGS[template]
    lines = [f"fsslib run {template} -p NAME=VALUE … [--out FOLDER] [--again]", ""]
    lines += [_entry(note) for note in field_notes(kind)]
    own = {note.name for note in field_notes(kind)}
    lines += ["", "Groups: a name, then changes; what they hold can also be given alone."]
    for group, settings in kind.groups.items():
        names = ", ".join(note.name for note in field_notes(settings) if note.name not in own)
        lines += [*textwrap.wrap(f"{group}: {names}", WIDTH, subsequent_indent="    ")]
    lines += ["", f"More: fsslib {' | '.join(TOPICS)}", "", "examples:"]
    lines += [f"  fsslib run {template}", f"  fsslib run {template} -p machine=cpu --out out"]
    return "\n".join(lines)


def templates_help() -> str:
    """Every template, in a line."""
    width = max(map(len, CONFIGS))
    texts = {name: _first_sentence(kind.__doc__ or "") for name, kind in CONFIGS.items()}
    whats = {name: text.partition(": ")[2] or text for name, text in texts.items()}
    return "\n".join(["templates:", *(f"  {name:<{width}}  {whats[name]}" for name in CONFIGS)])


def parameters_cell(template: str) -> str:
    """The source of a template's parameters cell: annotated literals, each below what it is."""
    lines = []
    for note in field_notes(CONFIGS[template]):
        lines += [f"# {line}" for line in textwrap.wrap(_first_sentence(note.text), WIDTH - 2)]
        lines.append(f"{note.name}: {_annotation(note.kind)} = {_literal(note.default)}")
    lines += ["# Folder of the run; None: chosen from the parameters"]
    lines += ['output: "Optional[str]" = None']
    return "\n".join(lines)


def methods_help() -> str:
    """Every method: its presets, its parts and its settings."""
    from fsslib.methods.build import PARTS

    lines = []
    for name in METHODS.names():
        kind = METHODS.get(name)
        trained = "" if kind.trainable else ", nothing trained"
        reads = ", reads a prior" if kind.reads_prior else ""
        parts = {**kind.parts, **getattr(kind, "own_prior_parts", {})}
        lines += [f"{name}{trained}{reads}; parts: {', '.join(parts) or 'none'}"]
        lines += _settings(kind.config_class)
    lines += [
        "",
        "Or your own: method=module:Class, method=file.py:Class. Parts that runs can make:",
    ]
    lines += [f"    {name}: {text}" for name, (_, text) in PARTS.items()]
    return "\n".join(lines)


def priors_help() -> str:
    """Every prior source and its settings."""
    lines = ["own: the method's own as published"]
    for name in PRIORS.names():
        kind = PRIORS.get(name)
        lines += [f"{name}: {_first_sentence(kind.__doc__ or '')}", *_settings(kind.config_class)]
    return "\n".join(
        [*lines, "", 'Several: prior="pi_clip vvp=false+region". Your own: module:Class.']
    )


def recipes_help() -> str:
    """The training recipes and what can be changed in one."""
    presets = [f"{name}: {_changes(changes)}" for name, changes in TrainConfig.presets().items()]
    wrapped = [
        line for text in presets for line in textwrap.wrap(text, WIDTH, subsequent_indent="    ")
    ]
    return "\n".join([*wrapped, "", *map(_entry, field_notes(TrainConfig))])


def backbones_help() -> str:
    """The networks, and how their weights are named."""
    from fsslib.encoders.backbones import BACKBONES

    more = [
        'backbone="resnet50 weights=imagenet", or weights=PATH',
        "timm/ARCHITECTURE: any of timm",
    ]
    return "\n".join([*sorted(BACKBONES), "", *more])


def protocols_help() -> str:
    """The benchmarks' usual protocols, and every switch."""
    return settings_help(Protocol)


def machine_help() -> str:
    """What changes nothing but speed, and parts that come trained."""
    return "\n".join(
        _entry(note) for kind in (MachineConfig, PartsConfig) for note in field_notes(kind)
    )


TOPICS = {
    "methods": methods_help,
    "priors": priors_help,
    "recipes": recipes_help,
    "backbones": backbones_help,
    "protocols": protocols_help,
    "machine": machine_help,
}


def _settings(kind: type[Settings]) -> list[str]:
    """Presets and fields of a configuration, indented."""
    notes = field_notes(kind)
    if not notes:
        return []
    presets = f"presets: {', '.join(kind.presets())}"
    names = ", ".join(f"{note.name}={_plain(note.default)}" for note in notes)
    text = f"{presets}; settings: {names}"
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="        ")


def settings_help(kind: type[Settings]) -> str:
    presets = (f"{name}: {_changes(changes)}" for name, changes in kind.presets().items())
    lines = [line for text in presets for line in _wrapped(text, "")]
    return "\n".join([*lines, "", *map(_entry, field_notes(kind))])


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent or "    ")


def _entry(note: FieldNote) -> str:
    """Name, type, default and text of a field."""
    default = "required" if note.default is MISSING else f"default {_plain(note.default)}"
    head = f"  {note.name} ({note.accepted}; {default})"
    text = " ".join(note.text.split())
    return "\n".join(
        [head, *textwrap.wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ")]
    )


def _changes(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in changes.items()) or "the defaults"


def _plain(value: Any) -> str:
    """A value as it is written in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, without it; no number follows one."""
    whole = " ".join(text.split())
    return re.split(r"\.\s+(?![0-9])", whole)[0].rstrip(".")


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _annotation(kind: Any) -> str:
    """A type as papermill reads it: a plain name, or a quoted one for what may be None."""
    words = in_words(kind)
    optional = "NoneType" in str(kind) or type(None) in get_args(kind)
    plain = next((name for name in ("bool", "int", "float") if name in words), "str")
    if get_origin(kind) is not None and "number" in words:
        plain = "float"
    return f'"Optional[{plain}]"' if optional else plain
