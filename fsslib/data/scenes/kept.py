"""Rendered scenes of a benchmark, kept on disk as they are asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fsslib.data.scenes.scene import render_scene, renderer
from fsslib.files import data_root

EDITION = 1
"""Raised when scenes change, so that older ones are not read; packages count by their versions."""


class KeptScenes:
    """Pictures and labels of (split, seed), memory-mapped, each rendered once.

    Any number of processes may fill it: a scene is the same whoever renders it, and counts as
    there only after it was written. The files are as long as they will ever be (37 KB a scene at 97
    pixels) and, where the file system knows holes, as large as what has been asked for.
    """

    def __init__(self, split: str, seed: int, count: int, size: int) -> None:
        self.split, self.seed, self.count, self.size = split, seed, count, size

    @property
    def folder(self) -> Path:
        name = f"kept{EDITION}_{self.split}_s{self.seed}_{self.size}px_{renderer()}"
        return data_root() / "scenes" / name

    @cached_property
    def _pixels(self) -> UInt8[np.ndarray, "count size size four"]:
        """Three channels of the picture, and the label."""
        return self._mapped("pixels.u8", (self.count, self.size, self.size, 4))

    @cached_property
    def _there(self) -> UInt8[np.ndarray, " count"]:
        return self._mapped("there.u8", (self.count,))

    def _mapped(self, name: str, shape: tuple[int, ...]) -> np.memmap:
        self.folder.mkdir(parents=True, exist_ok=True)
        path, length = self.folder / name, int(np.prod(shape))
        with path.open("ab") as file:
            if file.tell() < length:
                file.truncate(length)  # zeros, and nothing of what others wrote is lost
        return np.memmap(path, np.uint8, "r+", shape=shape)

    def __getitem__(
        self, index: int
    ) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        """Picture and label of a scene."""
        if not self._there[index]:
            scene = render_scene(self.split, self.seed, index, self.size)
            self._pixels[index, ..., :3], self._pixels[index, ..., 3] = scene.image, scene.label
            self._there[index] = 1
        pixels = self._pixels[index]
        return np.array(pixels[..., :3]), np.array(pixels[..., 3])

    def __getstate__(self) -> dict:
        """Workers map the files themselves."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}
