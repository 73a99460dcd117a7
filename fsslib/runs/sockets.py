"""Where a run's kernel listens: sockets in a folder of the system's temporary one.

A run that is killed outright cannot clear up after itself. Each holds a lock in its folder for as
long as it lives, and every run first removes the folders that nobody holds any more.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "fsslib-kernel-"
LONGEST = 60
"""Characters of the temporary folder: the path of a socket has a hundred, whatever the system."""


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder of its own for a kernel's sockets, removed afterwards."""
    usual = Path(tempfile.gettempdir())
    base = usual if len(str(usual)) <= LONGEST else Path("/tmp")
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with FileLock(folder / "lock"):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(base: Path) -> None:
    """Folders of runs that were killed; those of other people stay."""
    for folder in base.glob(f"{PREFIX}*"):
        try:
            with FileLock(folder / "lock", blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # alive, or somebody else's
            continue
