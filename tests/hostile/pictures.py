"""Files that claim to be pictures or masks."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fsslib.data.labelled_files import Item, load_item
from fsslib.data.pictures import read_image, read_indices, read_mask
from hostile.judge import Case
from hostile.weights import spoilt

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(executed) (w) file closefile\n%%EOF\n"
SPOILT = 14
"""Spoilt files of each format."""


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG of any claims."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def deep_png(values: np.ndarray) -> bytes:
    """16 bits a channel, grey or RGB."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, 0 if values.ndim == 2 else 2, rows)


def deep(most: int, colour: bool) -> bytes:
    shape = (6, 5, 3) if colour else (6, 5)
    values = np.random.default_rng(most).integers(0, most + 1, shape)
    values.flat[0] = most
    return deep_png(values)


REFUSED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"not a picture",
    "eps": lambda: EPS,
    "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
    "gif": lambda: encoded("GIF", "P"),
    "ppm": lambda: encoded("PPM"),
    "ico": lambda: encoded("ICO"),
    "tga": lambda: encoded("TGA"),
    "pcx": lambda: encoded("PCX"),
    "pdf": lambda: encoded("PDF"),
    "sgi": lambda: encoded("SGI"),
    "zip": lambda: b"PK\x05\x06" + b"\0" * 18,
    "huge": lambda: png(60_000, 60_000, 8, 2),
    "wide": lambda: png(2**31 - 1, 1, 8, 2),
    "no_rows": lambda: png(30, 20, 8, 2),
    "nothing_wide": lambda: png(0, 0, 8, 2),
    "bits_10": lambda: deep(1023, False),
    "bits_12": lambda: deep(4095, False),
    "bits_14": lambda: deep(16383, False),
    "bits_10_colour": lambda: deep(1023, True),
    "bits_12_colour": lambda: deep(4095, True),
    "bits_14_colour": lambda: deep(16383, True),
}
HANDLED: dict[str, Callable[[], bytes]] = {
    "bits_16": lambda: deep(65535, False),
    "bits_16_colour": lambda: deep(65535, True),
    **{f"{kind}_named_jpg": lambda k=kind: encoded(k) for kind in ("PNG", "BMP", "TIFF", "WEBP")},
    "cmyk": lambda: encoded("JPEG", "CMYK"),
    "bmp_16_colour": lambda: encoded("BMP", "P"),
    "bilevel": lambda: encoded("TIFF", "1"),
}
ODD: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "folder": Path.mkdir,
    "missing": lambda path: None,
    "loop": lambda path: path.symlink_to(path),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "device": lambda path: path.symlink_to("/dev/null"),
    "process": lambda path: path.symlink_to("/proc/self/mem"),
}


def _read(content: Callable[[], bytes] | bytes) -> Callable[[Path], object]:
    def act(folder: Path) -> object:
        path = folder / "picture.jpg"
        path.write_bytes(content if isinstance(content, bytes) else content())
        return read_image(path, "Fetch it again")

    return act


def _read_odd(make: Callable[[Path], None], reader: Callable) -> Callable[[Path], object]:
    def act(folder: Path) -> object:
        make(folder / "picture.jpg")
        return reader(folder / "picture.jpg", "Fetch it again")

    return act


def _mask(content: bytes) -> Callable[[Path], object]:
    def act(folder: Path) -> object:
        (folder / "image.jpg").write_bytes(encoded("JPEG"))
        (folder / "mask.png").write_bytes(content)
        item = Item(folder / "image.jpg", folder / "mask.png", "one", 1)
        return load_item(item, lambda one: read_mask(one.label, "Save it again"), "Fetch it again")

    return act


def cases() -> Iterator[Case]:
    for name, content in REFUSED.items():
        yield Case("pictures", name, _read(content), "refused")
    for name, content in HANDLED.items():
        yield Case("pictures", name, _read(content), "handled")
    for name, make in ODD.items():
        for reader in (read_image, read_indices, read_mask):
            act = _read_odd(make, reader)
            yield Case("pictures", f"{name}_{reader.__name__}", act, "refused")
    rng = np.random.default_rng(1)
    sources = {kind: encoded(kind) for kind in ("JPEG", "PNG", "BMP", "WEBP", "TIFF")}
    sources |= {"PNG_P": encoded("PNG", "P"), "TIFF_LZW": encoded("TIFF", compression="tiff_lzw")}
    sources |= {"PNG_16": deep(65535, True)}
    for kind, original in sources.items():
        for number in range(SPOILT):
            yield Case("pictures", f"{kind}_{number}", _read(spoilt(original, rng)))
    for kind in ("L", "P", "1", "RGBA", "LA", "RGB"):
        for number in range(SPOILT // 2):
            content = encoded("PNG", kind)
            content = content if number == 0 else spoilt(content, rng)
            yield Case("masks", f"{kind}_{number}", _mask(content))
    yield Case("masks", "colour_16", _mask(deep(65535, True)), "refused")
    yield Case("masks", "other_size", _mask(deep(200, False)), "refused")
