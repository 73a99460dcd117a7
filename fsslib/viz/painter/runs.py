"""Label maps as runs, as they travel between the kernel and the browser (`pixels.js`)."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

PAIR = np.dtype("<u4")


def encode(mask: UInt8[np.ndarray, "h w"]) -> bytes:
    """Runs of equal labels, row after row, as pairs (label, length) of little-endian uint32."""
    labels = mask.ravel()
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    lengths = np.diff(np.append(starts, labels.size))
    return np.stack([labels[starts], lengths], 1).astype(PAIR).tobytes()


def decode(runs: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """The mask (h,w) of such runs.

    Raises:
        ValueError: bytes that are no pairs, labels above 255, or lengths that do not fill it.
    """
    height, width = size
    pairs = np.frombuffer(runs, PAIR) if len(runs) % PAIR.itemsize == 0 else np.zeros(1, PAIR)
    if pairs.size % 2:
        raise ValueError(f"runs of {len(runs)} bytes; expected pairs of 8")
    labels, lengths = pairs[::2], pairs[1::2].astype(np.int64)
    if lengths.sum() != height * width or labels.max(initial=0) > 255:
        raise ValueError(
            f"runs of {lengths.sum()} pixels with labels up to {labels.max(initial=0)}; expected "
            f"{height * width} pixels of a mask {height} x {width}, and labels up to 255"
        )
    return np.repeat(labels.astype(np.uint8), lengths).reshape(height, width)
