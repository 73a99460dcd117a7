"""Where files live, and how they are written: to a temporary name first, then renamed.

One environment variable, ``FSSLIB_DATA``, moves everything that is downloaded or cached. Nothing
in the package depends on the working directory: papermill and nbval use different ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
_PARTIAL = ".partial-"
"""Beginning of temporary names."""


def data_root() -> Path:
    """Folder of benchmarks and caches: ``$FSSLIB_DATA``, or ``~/.cache/fsslib``."""
    return Path(os.environ.get("FSSLIB_DATA", "~/.cache/fsslib")).expanduser()


def repository() -> Path:
    """The source tree with `notebooks/`; FileNotFoundError when fsslib is installed without it."""
    root = PACKAGE.parent
    if not (root / "notebooks" / "runs").is_dir():
        raise FileNotFoundError(
            "the notebooks do not lie beside the package; clone the repository and install it "
            "with `pip install -e .`"
        )
    return root


@contextlib.contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it on success, remove it on any error."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f"{_PARTIAL}{target.stem}.", suffix=target.suffix, dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what a process that was killed left of files it was writing; nobody else may be
    writing into the folder."""
    for path in folder.glob(f"{_PARTIAL}*"):
        path.unlink(missing_ok=True)


def write_json(target: Path | str, content: Any) -> Path:
    """Write `content` as indented JSON, all of it or nothing."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_text(text)
    return Path(target)


def read_json(source: Path | str) -> Any:
    """Read JSON; a broken file raises an error that names it."""
    try:
        return json.loads(Path(source).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{source} is not valid JSON ({error}); remove it and make it again"
        ) from error
