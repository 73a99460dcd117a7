"""What every run template's parameters have in common: a few groups, each with one grammar.

A group is a text, "hdmnet lr=1e-4 optimizer=sgd": a preset's or a network's name and changes to it.
What a group holds can also be given alone, `-p lr=1e-4`; it is put where it belongs. Everything is
checked before a kernel starts, and what decides a result is told from what does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

from fsslib.config import ConfigError, require_parameters
from fsslib.files import local_path
from fsslib.grammar import format_group, parse_group, split_sources
from fsslib.registry import source_digest
from fsslib.runs.machine_config import MACHINE, MachineConfig
from fsslib.settings import Settings, field_notes
from fsslib.training.rules import CHANGES_NOTHING, require_parts

PATHS = ("root", "head", "data", "start", "dino_weights", "found_head", "episodes_file")
"""Parameters that may be paths."""
PATHS_IN_GROUPS = ("weights", "base", "extractor_weights", "heads")
"""The same among the changes of a group."""
SWEPT = ("fold", "way", "shot", "seed")
"""What sweeps go over: always part of an identity, so that differences can be told."""
CLASSES = ("method", "prior", "protocol", "backbone")
"""Groups whose name may be `file.py:Class`."""


class RunConfig(Settings):
    """Base class of the templates' typed parameters."""

    groups: ClassVar[Mapping[str, type[Settings]]] = {}
    """Groups whose fields can be given alone; where two have a field of one name, the first."""
    aliases: ClassVar[Mapping[str, tuple[str, str | None]]] = {}
    """Other names for a group's field, or (None) for the name in front of the group."""
    merged: ClassVar[Mapping[str, str]] = {}
    """Parameters that are changes to a group themselves, "dps=false window=1"."""
    alone: ClassVar[str] = ""
    """Why several processes cannot share the work; empty: they can."""
    machine: str

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.machine_config.processes
        if count == 1:
            return
        if self.alone:
            raise ConfigError(f"processes={count}: {self.alone}; leave it out")
        if training := getattr(self, "training", None):
            require_parts(training.batch_size, training.accumulate, count)

    @classmethod
    def expand(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The template's own parameters from these and from others given alone.

        Raises:
            ConfigError: an unknown name, or one thing given twice.
        """
        own = {field.name: field.default for field in fields(cls)}
        canonical = {name: value for name, value in parameters.items() if name in own}
        alone = {k: v for k, v in parameters.items() if k not in own}
        additions: dict[str, dict[str | None, Any]] = {}
        for name, value in alone.items():
            group, key = cls._place(name)
            if value is None:
                continue
            if key == "*":
                first, changes = parse_group(name, str(value))
                if first is not None:
                    raise ConfigError(f"{name}: {first!r}; expected changes as name=value")
            else:
                changes = {key: value}
            target = additions.setdefault(group, {})
            if twice := target.keys() & changes.keys():
                raise ConfigError(
                    f"{name}={value!r}: {sorted(map(str, twice))[0]!r} is given twice"
                )
            target |= changes
        for group, changes in additions.items():
            canonical[group] = cls._with_changes(group, own, canonical, changes)
        return canonical

    @classmethod
    def _with_changes(
        cls, group: str, own: dict, canonical: dict, changes: dict[str | None, Any]
    ) -> str:
        """A group's text with what was given alone."""
        text = canonical.get(group, own[group])
        head, known = parse_group(group, text or "")
        named = changes.pop(None, None)
        if named is not None and group in canonical and head not in (None, named):
            raise ConfigError(
                f"{group}={text!r}: its name is also given as {named!r}; leave one out"
            )
        if twice := sorted(known.keys() & changes.keys()):
            raise ConfigError(
                f"{group}={text!r}: {twice[0]!r} is given there and alone; give it once"
            )
        return format_group(str(named) if named is not None else head, known | changes)

    @classmethod
    def _place(cls, name: str) -> tuple[str, str | None]:
        """The group that a parameter given alone belongs to, and its name there."""
        if name in MACHINE:
            return "machine", name
        if name in cls.merged:
            return cls.merged[name], "*"
        if name in cls.aliases:
            return cls.aliases[name]
        for group, kind in cls.groups.items():
            if name in {note.name for note in field_notes(kind)}:
                return group, name
        require_parameters([name], cls.accepts())
        raise AssertionError("unreachable: the line above names the unknown parameter")

    @classmethod
    def accepts(cls) -> set[str]:
        """All names that can be given: parameters, and what can be given alone."""
        alone = {note.name for kind in cls.groups.values() for note in field_notes(kind)}
        return {*(f.name for f in fields(cls)), *alone, *cls.aliases, *cls.merged, *MACHINE}

    @property
    def machine_config(self) -> MachineConfig:
        return MachineConfig.parse("machine", self.machine)

    @property
    def run_name(self) -> str:
        """The folder of runs that belong together, such as `pfenet/scenes10i_f0_1shot_…`."""
        raise NotImplementedError

    def decisive(self) -> dict[str, Any]:
        """What decides the result: everything but the machine, and of the recipe what changes a
        weight. Written so that a field that is added later changes no identity."""
        own = {name: getattr(self, name) for name in SWEPT if hasattr(self, name)} | self.changed()
        own.pop("machine", None)
        return self.with_paths(resolved, own) | self.typed()

    def require_unchanged(self, name: str, reason: str) -> None:
        """ConfigError for a parameter that is given and that nobody would read."""
        value = getattr(self, name)
        if value != type(self).__dataclass_fields__[name].default:
            raise ConfigError(f"{name}={value!r} is not read: {reason}; leave it out")

    def require_files(self) -> None:
        """ConfigError for the first file or folder that is named and not there. Asked before a run,
        and not of the configurations that cards hold."""

    def typed(self) -> dict[str, Any]:
        """Groups as what they mean, in place of how they were written."""
        return {}

    def with_paths(
        self, move: Callable[[str], str], values: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Parameters with every path among them moved."""
        values = dict(asdict(self) if values is None else values)
        for name, value in values.items():
            if not isinstance(value, str):
                continue
            if name in PATHS:
                values[name] = move(value)
            elif name in CLASSES:
                values[name] = "+".join(_moved_class(part, move) for part in split_sources(value))
            elif any(f"{key}=" in value for key in PATHS_IN_GROUPS):
                head, changes = parse_group(name, value)
                for key in changes.keys() & set(PATHS_IN_GROUPS):
                    changes[key] = move(str(changes[key]))
                values[name] = format_group(head, changes)
        return values


def resolved(value: str) -> str:
    """A path in full, where there is such a file or folder; other texts, such as tags, stay."""
    path = local_path(value)
    return str(path.resolve()) if path.exists() else value


def file_name(value: str) -> str:
    """Of a path its last part alone, which means the same on every machine."""
    return Path(value).name if "/" in value or "\\" in value else value


def plain_name(network: str) -> str:
    """A network's name as part of a folder's: "timm-resnet26d", the class of "file.py:MyNet"."""
    return network.rpartition(":")[2].replace("/", "-")


def identity(recipe: Settings) -> dict[str, Any]:
    """A recipe's numbers that change a weight."""
    return {k: v for k, v in recipe.changed().items() if k not in CHANGES_NOTHING}


def class_identity(name: str, text: str) -> str:
    """A class by its name, and one from outside by its source as well: another source, another
    result."""
    head = (parse_group(name, text)[0] or "").strip()
    digest = source_digest(head)
    return f"{head.rpartition(':')[2]}@{digest}" if digest else head


def _moved_class(text: str, move: Callable[[str], str]) -> str:
    """`file.py:Class x=1` with its file moved; `module:Class` where the module is a file here."""
    words = text.split(" ")
    index = next((i for i, word in enumerate(words) if word), 0)
    where, colon, name = words[index].rpartition(":")
    if not colon:
        return text
    file = where if where.endswith(".py") else f"{where.replace('.', '/')}.py"
    if Path(file).expanduser().is_file():
        words[index] = f"{move(file)}:{name}"
    return " ".join(words)
