"""What an encoder said of a picture, kept for the next episode that shows it; here in memory."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

Made = tuple[Tensor, ...]
Key = tuple[str, bytes]
"""What is wanted, and a picture's digest."""


class Cache(ABC):
    """What frozen encoders said of pictures, by the pictures' own bytes: augmented pictures or
    other masks are other pictures. A result may differ in its last bits from one made in another
    batch. One of no bytes keeps nothing and costs nothing. Copies of an encoder share its cache,
    and so may threads: one looks and keeps at a time, passes go on beside each other.

    Attributes:
        passes: pictures that went through the encoder.
        hits: pictures that did not have to.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.passes, self.hits = max_bytes, 0, 0
        self._one_at_a_time = threading.RLock()

    def collect(
        self,
        kind: Callable[[], str],
        pictures: Shaped[Tensor, "b ..."],
        make: Callable[[Tensor], Made],
    ) -> Made:
        """`make(pictures)`, with kept pictures left out of the call.

        Args:
            kind: names what is made of a picture: what was asked, and the encoder's `digest`. It is
                called only if something is kept, since a digest reads every weight.
            make: a batch of pictures -> tensors with the batch in front.
        """
        if not self.max_bytes:
            self.passes += len(pictures)
            return make(pictures)
        device = pictures.device
        kind = f"{kind()}-{arithmetic(device.type)}"
        # One copy to the host, and one back below: each of them is a wait for a GPU.
        keys = [(kind, picture_digest(picture)) for picture in pictures.detach().cpu()]
        with self._one_at_a_time:
            rows = self.recall_all(dict.fromkeys(keys))
        new = [i for i, key in enumerate(keys) if rows[key] is None and key not in keys[:i]]
        if new:
            made = make(pictures[new])
            for place, i in enumerate(new):
                rows[keys[i]] = tuple(part[place] for part in made)
        with self._one_at_a_time:
            for i in new:
                self.keep(keys[i], rows[keys[i]])
            self.passes += len(new)
            self.hits += len(keys) - len(new)
        stacked = zip(*(rows[key] for key in keys), strict=True)
        return tuple(_together(parts, device) for parts in stacked)

    def __deepcopy__(self, memo: dict[int, Any]) -> Cache:
        """Shared: keys name the weights, and what is kept is large."""
        return self

    def recall_all(self, keys: Iterable[Key]) -> dict[Key, Made | None]:
        """`recall` for each key."""
        return {key: self.recall(key) for key in keys}

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

    def recall(self, key: Key) -> Made | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Key, parts: Made) -> None:
        if key in self._kept:  # two threads made the same
            return
        self._kept[key] = tuple(part.clone() for part in parts)  # not a view of the whole batch
        self.bytes += _size(parts)
        while self.bytes > self.max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= _size(dropped)


def _together(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """Pictures' results as a batch on `device`; from the host in one transfer, from page-locked
    memory where there are such transfers, so that nobody waits for it."""
    if any(part.device != parts[0].device for part in parts):
        parts = [part.to(device) for part in parts]
    batch = torch.stack(parts)
    if batch.device.type == "cpu" and device.type == "cuda":
        batch = batch.pin_memory()
    return batch.to(device, non_blocking=True)


def arithmetic(device: str) -> str:
    """How a pass is computed now: on which kind of device, in which precision (autocast), and how
    matrix products and convolutions of fp32 numbers are rounded (TF32 on GPUs, bfloat16 on CPUs,
    where that is allowed). A pass that was computed otherwise is another answer."""
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else torch.float32
    return "-".join([device, str(dtype).split(".")[1], *_rounding(device)])


def _rounding(device: str) -> list[str]:
    backends = torch.backends
    if not hasattr(backends, "fp32_precision"):  # before PyTorch 2.9
        convolution = "tf32" if device == "cuda" and backends.cudnn.allow_tf32 else "ieee"
        return [torch.get_float32_matmul_precision(), convolution]
    parts = {
        "cuda": (backends.cuda.matmul, backends.cudnn.conv),
        "cpu": (backends.mkldnn.matmul, backends.mkldnn.conv),
    }
    states = [part.fp32_precision for part in parts.get(device, ())]
    return ["ieee" if state == "none" else state for state in states]  # not rounded at all


def picture_digest(picture: Tensor) -> bytes:
    """A hash of a picture's content, shape and type."""
    content = picture.detach().cpu().contiguous()
    digest = hashlib.blake2b(str((content.dtype, tuple(content.shape))).encode(), digest_size=16)
    digest.update(content.numpy())
    return digest.digest()


def _size(parts: Made) -> int:
    return sum(part.numel() * part.element_size() for part in parts)
