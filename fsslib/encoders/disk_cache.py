"""What frozen encoders said of pictures, kept on disk from one run to the next.

Where backbone and CLIP are frozen and nothing is augmented, every epoch asks them the same. With
the answers on disk an epoch is decoder work only.
"""

from __future__ import annotations

import contextlib
import os
import warnings
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from fsslib.encoders.pass_cache import Cache, Key, Made
from fsslib.files import atomic_path

ROOM_MADE = 0.9
"""Of the bound: what is left when room had to be made."""
CHECK_BYTES = 4
READERS = 4
"""Threads that read a batch's files."""


def _check(content: bytes) -> bytes:
    """CRC-32: safetensors would not notice a changed byte among the numbers."""
    return zlib.crc32(content).to_bytes(CHECK_BYTES, "little")


class DiskCache(Cache):
    """Results by picture, one file each (a checksum and safetensors); beyond `max_bytes` the oldest
    go.

    Several processes may share a folder: files appear whole, and one that is missing or damaged is
    made again (a damaged one with a warning). The bound holds for what this process found when it
    began and what it wrote since: several processes may leave more.

    Raises:
        ValueError: a negative bound, which would empty the folder at the first write.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes={max_bytes}: expected 0 or more")
        super().__init__(max_bytes)
        self.folder = Path(folder)
        self._bytes = sum(size for _, size, _ in self._files())

    def recall_all(self, keys: Iterable[Key]) -> dict[Key, Made | None]:
        """As the base class; several files are read at a time, which hides a disk's latency."""
        keys = list(keys)
        with ThreadPoolExecutor(READERS) as readers:
            return dict(zip(keys, readers.map(self.recall, keys), strict=True))

    def recall(self, key: Key) -> Made | None:
        path = self._path(key)
        try:
            stored = path.read_bytes()
            content = stored[CHECK_BYTES:]
            if stored[:CHECK_BYTES] != _check(content):
                raise SafetensorError("its checksum differs")
            parts = load(content)
            return tuple(parts[str(number)] for number in range(len(parts)))
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, OSError) as error:
            warnings.warn(f"{path} is damaged ({error}); it is made again", stacklevel=4)
            return None

    def keep(self, key: Key, parts: Made) -> None:
        tensors = {str(n): part.detach().cpu().contiguous() for n, part in enumerate(parts)}
        content = save(tensors)
        # A full or read-only disk costs time, never a result.
        give_up = contextlib.suppress(OSError, SafetensorError)
        with give_up, atomic_path(self._path(key)) as temporary:
            temporary.write_bytes(_check(content) + content)
            self._bytes += temporary.stat().st_size
        if self._bytes > self.max_bytes:
            self._make_room()

    def _path(self, key: Key) -> Path:
        kind, digest = key
        name = digest.hex()
        return self.folder / kind / name[:2] / f"{name}.kept"

    def _make_room(self) -> None:
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._bytes <= ROOM_MADE * self.max_bytes:
                return
            Path(path).unlink(missing_ok=True)
            self._bytes -= size

    def _files(self) -> list[tuple[float, int, str]]:
        """(time, bytes, path) of every file; others may be removing some."""
        return list(_kept_below(self.folder))


def _kept_below(folder: Path | str) -> Iterator[tuple[float, int, str]]:
    """By hand: a pathlib glob took two and a half times as long, seconds a run for a full cache."""
    suppressed = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with suppressed, os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _kept_below(entry.path)
            elif entry.name.endswith(".kept"):
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat()
                    yield facts.st_mtime, facts.st_size, entry.path
