"""What an encoder said of a picture, kept for the next episode that shows it; here in memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor

Made = tuple[Tensor, ...]
Key = tuple[str, bytes]
"""What is wanted, and a picture's digest."""


class Cache(ABC):
    """What frozen encoders said of pictures, by the pictures' own bytes: augmented pictures or
    other masks are other pictures. A result may differ in its last bits from one made in another
    batch.

    Attributes:
        passes: pictures that went through the encoder.
        hits: pictures that did not have to.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.passes, self.hits = max_bytes, 0, 0

    def collect(
        self, kind: str, pictures: Shaped[Tensor, "b ..."], make: Callable[[Tensor], Made]
    ) -> Made:
        """`make(pictures)`, with kept pictures left out of the call.

        Args:
            kind: tells apart what is made of the same picture: name the encoder's weights and its
                preprocessing where results outlive the encoder.
            make: a batch of pictures -> tensors with the batch in front.
        """
        device = pictures.device
        kind = f"{kind}-{precision(device.type)}"
        keys = [(kind, picture_digest(picture)) for picture in pictures]
        rows = {key: self.recall(key) for key in keys}
        new = [i for i, key in enumerate(keys) if rows[key] is None and key not in keys[:i]]
        if new:
            made = make(pictures[new])
            for place, i in enumerate(new):
                rows[keys[i]] = tuple(part[place] for part in made)
                self.keep(keys[i], rows[keys[i]])
        self.passes += len(new)
        self.hits += len(keys) - len(new)
        stacked = zip(*(rows[key] for key in keys), strict=True)
        return tuple(torch.stack([part.to(device) for part in parts]) for parts in stacked)

    @abstractmethod
    def recall(self, key: Key) -> Made | None:
        """What was kept under a key."""

    @abstractmethod
    def keep(self, key: Key, parts: Made) -> None:
        """Keep one picture's results, and make room if there are too many."""


class PassCache(Cache):
    """In memory: beyond `max_bytes` the least recently used go. `PassCache()` keeps nothing."""

    def __init__(self, max_bytes: int = 0) -> None:
        super().__init__(max_bytes)
        self.bytes = 0
        self._kept: OrderedDict[Key, Made] = OrderedDict()

    def collect(
        self, kind: str, pictures: Shaped[Tensor, "b ..."], make: Callable[[Tensor], Made]
    ) -> Made:
        if self.max_bytes:
            return super().collect(kind, pictures, make)
        self.passes += len(pictures)
        return make(pictures)

    def recall(self, key: Key) -> Made | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Key, parts: Made) -> None:
        self._kept[key] = tuple(part.clone() for part in parts)  # not a view of the whole batch
        self.bytes += _size(parts)
        while self.bytes > self.max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= _size(dropped)


def precision(device: str) -> str:
    """In which precision a pass is made now: one made under autocast answers no other question."""
    autocast = torch.is_autocast_enabled(device)
    return str(torch.get_autocast_dtype(device) if autocast else torch.float32).split(".")[1]


def picture_digest(picture: Tensor) -> bytes:
    """A hash of a picture's content, shape and type."""
    content = picture.detach().cpu().contiguous()
    digest = hashlib.blake2b(str((content.dtype, tuple(content.shape))).encode(), digest_size=16)
    digest.update(content.numpy())
    return digest.digest()


def _size(parts: Made) -> int:
    return sum(part.numel() * part.element_size() for part in parts)
