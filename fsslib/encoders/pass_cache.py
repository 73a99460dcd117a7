"""What an encoder said of a picture, kept for the next episode that shows it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor

Made = tuple[Tensor, ...]


class PassCache:
    """Results by picture, in memory; beyond `max_bytes` the least recently used go.

    Keyed by the pictures' own bytes, so that augmented pictures or other masks are other pictures.
    A result may differ in its last bits from one made in another batch.

    Attributes:
        passes: pictures that went through the encoder.
        hits: pictures that did not have to.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self.max_bytes, self.bytes, self.passes, self.hits = max_bytes, 0, 0, 0
        self._kept: OrderedDict[tuple[str, bytes], Made] = OrderedDict()

    def collect(
        self, kind: str, pictures: Shaped[Tensor, "b ..."], make: Callable[[Tensor], Made]
    ) -> Made:
        """`make(pictures)`, with kept pictures left out of the call.

        Args:
            kind: tells apart what `make` makes of the same picture.
            make: a batch of pictures -> tensors with the batch in front.
        """
        if not self.max_bytes:
            self.passes += len(pictures)
            return make(pictures)
        kind = f"{kind}-{precision(pictures.device.type)}"
        keys = [(kind, picture_digest(picture)) for picture in pictures]
        new = [i for i, key in enumerate(keys) if key not in self._kept and key not in keys[:i]]
        if new:
            made = make(pictures[new])
            fresh = {keys[i]: tuple(part[n] for part in made) for n, i in enumerate(new)}
        else:
            fresh = {}
        self.passes += len(new)
        self.hits += len(keys) - len(new)
        rows = [fresh.get(key) or self._kept[key] for key in keys]
        self._keep(keys, fresh)
        return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))

    def _keep(self, keys: list[tuple[str, bytes]], fresh: dict) -> None:
        for key in keys:
            if key in self._kept:
                self._kept.move_to_end(key)
            elif key in fresh:
                self._kept[key] = tuple(part.clone() for part in fresh[key])
                self.bytes += _size(self._kept[key])
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
    head = str((content.dtype, tuple(content.shape))).encode()
    return hashlib.blake2b(head + content.numpy().tobytes(), digest_size=16).digest()


def _size(parts: Made) -> int:
    return sum(part.numel() * part.element_size() for part in parts)
