"""Where files live, and how they are written: to a temporary name first, then renamed.

One environment variable, ``FSSLIB_DATA``, moves everything that is downloaded or cached. Nothing
in the package depends on the working directory: papermill and nbval use different ones.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError

PACKAGE = Path(__file__).resolve().parent
PARTIAL = ".partial-"
"""Beginning of temporary names."""


def data_root() -> Path:
    """Folder of benchmarks and caches: ``$FSSLIB_DATA``, or ``~/.cache/fsslib``."""
    return Path(os.environ.get("FSSLIB_DATA", "~/.cache/fsslib")).expanduser()


def repository() -> Path:
    """The source tree with `notebooks/`; FileNotFoundError when fsslib is installed without it."""
    if not _in_a_clone():
        raise FileNotFoundError(
            "the notebooks do not lie beside the package; clone the repository and install it "
            "with `pip install -e .`"
        )
    return PACKAGE.parent


def _in_a_clone() -> bool:
    return (PACKAGE.parent / "notebooks" / "runs").is_dir()


def templates_folder() -> Path:
    """Run templates: `notebooks/runs` of a clone, or the copy of it that a wheel holds."""
    return _read_only() / "notebooks" / "runs"


def sweeps_folder() -> Path:
    """Studies' files: `papermill_runs/sweeps` of a clone, or the copy of it that a wheel holds."""
    return _read_only() / "papermill_runs" / "sweeps"


def _read_only() -> Path:
    return PACKAGE.parent if _in_a_clone() else PACKAGE / "packed"


def runs_folder() -> Path:
    """Where runs go unless told otherwise: a clone's `papermill_runs`; without a clone that of the
    current folder, for nothing belongs into an installed package."""
    return (PACKAGE.parent if _in_a_clone() else Path.cwd()) / "papermill_runs"


def shown_path(path: Path) -> str:
    """A path as the user would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextlib.contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it on success, remove it on any error.

    Raises:
        OSError: the disk is full or may not be written to; says so in one sentence.
    """
    target = Path(target)
    with _in_one_sentence(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f"{PARTIAL}{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def _in_one_sentence(target: Path) -> Iterator[None]:
    """What the system says of a disk, with the file and the fix. Libraries that write through a
    file object wrap its error in one of their own."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        number = getattr(cause, "errno", None)
        if number not in (*_FULL, *_CLOSED):
            raise
        fix = "free some space" if number in _FULL else "make its folder writable"
        raise OSError(
            f"{target} cannot be written ({os.strerror(number)}); {fix}, then repeat the command"
        ) from error


def copy_whole(source: Path, target: Path) -> None:
    """The same bytes under another name, all of them or nothing."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(source.read_bytes())


def remove_partials(folder: Path) -> None:
    """Remove what a process that was killed left of files it was writing; nobody else may be
    writing into the folder."""
    for path in folder.glob(f"{PARTIAL}*"):
        with _in_one_sentence(path):
            path.unlink(missing_ok=True)


def write_json(target: Path | str, content: Any) -> Path:
    """Write `content` as indented JSON, all of it or nothing."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_text(text)
    return Path(target)


def read_json(source: Path | str, kind: type = object) -> Any:
    """Read JSON whose outermost value is of a `kind`.

    Raises:
        ValueError: a file that is broken or holds something else; names it.
    """
    try:
        content = json.loads(Path(source).read_bytes())
    except (ValueError, RecursionError) as error:  # broken, not UTF-8, numbers of 5,000 digits, …
        raise ValueError(
            f"{source} is not valid JSON ({error}); remove it and make it again"
        ) from error
    if not isinstance(content, kind):
        raise ValueError(
            f"{source} holds a {type(content).__name__}, expected a {kind.__name__}; remove it and "
            "make it again"
        )
    return content


def local_path(text: Path | str) -> Path:
    """A path as people write it, with `~` and `~name` for home folders.

    Raises:
        ConfigError: no file can have this name, or nobody this home folder.
    """
    shown = str(text) if len(str(text)) <= 80 else f"{str(text)[:77]}…"
    if "\0" in str(text):
        raise ConfigError(f"{shown!r}: no file can have this name (it holds a zero byte)")
    try:
        path = Path(text).expanduser()
        path.exists()
    except RuntimeError as error:
        raise ConfigError(f"{shown!r}: this machine has no such home folder") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError(
                f"{shown!r}: no file can have this name ({error.strerror})"
            ) from error
        return path
    return path
