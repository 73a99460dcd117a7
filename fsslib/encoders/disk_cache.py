"""What frozen encoders said of pictures, kept on disk from one run to the next.

Where backbone and CLIP are frozen and nothing is augmented, every epoch asks them the same. With
the answers on disk an epoch is decoder work only. Same interface as `PassCache`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fsslib.encoders.pass_cache import Made, PassCache, picture_digest, precision
from fsslib.files import atomic_path

ROOM_MADE = 0.9
"""Of the bound: what is left when room had to be made."""


class DiskCache:
    """Results by picture, one file each; beyond `max_bytes` the oldest go.

    Several processes may share a folder: files appear whole, and one that is missing or damaged is
    made again (a damaged one with a warning). The bound holds for what this process sees when it
    writes; others may exceed it for a moment.

    Attributes:
        passes: pictures that went through the encoder.
        hits: pictures that did not have to.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes, self.passes, self.hits = Path(folder), max_bytes, 0, 0
        self._bytes = sum(size for _, size, _ in self._files())

    def collect(
        self, kind: str, pictures: Shaped[Tensor, "b ..."], make: Callable[[Tensor], Made]
    ) -> Made:
        """`make(pictures)`, with kept pictures left out of the call.

        Args:
            kind: tells apart what is made of the same picture: name the encoder's weights and its
                preprocessing.
            make: a batch of pictures -> tensors with the batch in front.
        """
        kind = f"{kind}-{precision(pictures.device.type)}"
        paths = [self._path(kind, picture) for picture in pictures]
        rows = {path: self._read(path) for path in paths}
        new = [i for i, path in enumerate(paths) if rows[path] is None and path not in paths[:i]]
        if new:
            made = make(pictures[new])
            for place, i in enumerate(new):
                rows[paths[i]] = tuple(part[place] for part in made)
                self._write(paths[i], rows[paths[i]])
        self.passes += len(new)
        self.hits += len(paths) - len(new)
        device = pictures.device
        stacked = zip(*(rows[path] for path in paths), strict=True)
        return tuple(torch.stack([part.to(device) for part in parts]) for parts in stacked)

    def _path(self, kind: str, picture: Tensor) -> Path:
        name = picture_digest(picture).hex()
        return self.folder / kind / name[:2] / f"{name}.safetensors"

    def _read(self, path: Path) -> Made | None:
        try:
            parts = load_file(path)
            return tuple(parts[str(number)] for number in range(len(parts)))
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, OSError) as error:
            warnings.warn(f"{path} is damaged ({error}); it is made again", stacklevel=4)
            return None

    def _write(self, path: Path, parts: Made) -> None:
        content = {str(n): part.detach().cpu().contiguous() for n, part in enumerate(parts)}
        # A full or read-only disk costs time, never a result.
        with contextlib.suppress(OSError), atomic_path(path) as temporary:
            save_file(content, temporary)
            self._bytes += temporary.stat().st_size
        if self._bytes > self.max_bytes:
            self._make_room()

    def _make_room(self) -> None:
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._bytes <= ROOM_MADE * self.max_bytes:
                return
            path.unlink(missing_ok=True)
            self._bytes -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """(time, bytes, path) of every file; others may be removing some."""
        found = []
        for path in self.folder.glob("*/*/*.safetensors"):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        return found


Cache = PassCache | DiskCache
"""In memory or on disk; `PassCache()` keeps nothing."""
