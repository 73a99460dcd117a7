"""Base and novel classes of one's own folder: `classes.yaml` beside the class folders.

    base: [cat, dog]       # trained on
    held_out: [horse]      # optional: kept out of training, for choosing checkpoints
    novel: [bird]          # optional: tested on; all the others if left out

Without that file all classes are novel: the folder is for testing and predicting, not for training.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, shown
from fsslib.data.benchmark import nearest
from fsslib.data.labelled_files import Item
from fsslib.grammar import plain_yaml

FILE = "classes.yaml"
KEYS = ("base", "held_out", "novel")
EXAMPLE = "expected lists of class folders, such as `base: [cat, dog]` and `novel: [bird]`"


@dataclass(frozen=True)
class FolderClasses:
    """Class ids by what they are for."""

    base: tuple[int, ...]
    held_out: tuple[int, ...]
    novel: tuple[int, ...]


def class_name(folder: str) -> str:
    """The word for a class folder."""
    return folder.replace("_", " ")


def read_classes(root: Path, names: Sequence[str]) -> FolderClasses | None:
    """What `<root>/classes.yaml` says of the classes `names` (ids 1, 2, …); None without the file.

    Raises:
        ConfigError: not such a file, an unknown class, one named twice or not at all, or no base or
            no novel class.
    """
    path = root / FILE
    if not path.is_file():
        return None
    lists = _lists(path)
    listed = [name for key in KEYS for name in lists.get(key, [])]
    for name in listed:
        if name not in names:
            raise ConfigError(f"{path}: no class folder is called {name!r}{nearest(name, names)}")
        if listed.count(name) > 1:
            raise ConfigError(f"{path} names class {name!r} twice; name each class once")
    lists.setdefault("novel", [name for name in names if name not in listed])
    for key in ("base", "novel"):
        if not lists.get(key):
            raise ConfigError(f"{path} leaves no {key} class; name at least one under `{key}`")
    if missing := [n for n in names if not any(n in listed for listed in lists.values())]:
        raise ConfigError(
            f"{path} does not say what class {missing[0]!r} is for; put it under base, novel or "
            "held_out, or leave `novel` out, which then holds all the others"
        )
    ids = {name: number for number, name in enumerate(names, 1)}
    return FolderClasses(*(tuple(sorted(ids[n] for n in lists.get(key, []))) for key in KEYS))


def _lists(path: Path) -> dict[str, list[str]]:
    try:
        content: Any = plain_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError, too
        raise ConfigError(f"{path} cannot be read as YAML ({error}); {EXAMPLE}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {shown(content)}; {EXAMPLE}")
    for key, classes in content.items():
        if key not in KEYS:
            unknown = f"unknown key {shown(key)}{nearest(str(key), KEYS)}"
            raise ConfigError(f"{path}: {unknown}; {EXAMPLE}")
        if not isinstance(classes, list):
            raise ConfigError(f"{path}: {key} is {shown(classes)}; {EXAMPLE}")
    return {key: [class_name(str(name)) for name in classes] for key, classes in content.items()}


def with_same_photographs(items: Iterable[Item], others: Iterable[Item]) -> list[Item]:
    """The items; each knows those of `others` whose photograph is the same file, byte for byte."""
    sizes = defaultdict(list)
    for other in others:
        sizes[other.image.stat().st_size].append(other)
    joined = []
    for item in items:
        candidates = sizes.get(item.image.stat().st_size, [])
        digest = _digest(item.image) if candidates else ""
        same = tuple(other for other in candidates if _digest(other.image) == digest)
        joined.append(replace(item, also=same))
    return joined


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
