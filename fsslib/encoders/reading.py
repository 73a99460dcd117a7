"""Files of weights: `.safetensors`, what `torch.save` writes, TorchScript archives.

Nothing in a file is run, none unpacks to much more than its own size, and whatever is wrong with
one comes out as one sentence: torch's own messages advise to trust the file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from fsslib.encoders.storage import WeightsError
from fsslib.encoders.torchscript import is_jit_archive, read_archive

LONGEST_REASON = 160
MOST_UNPACKED = 10
"""Times the size of a zip."""
_POINTER = b"version https://git-lfs.github.com"


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` or torch checkpoint file, fp32, without `module.` prefixes."""
    state = _unwrap(read_content(path), path)
    return {k.removeprefix("module."): v.float() if v.is_floating_point() else v for k, v in state}


def read_content(path: Path, device: str = "cpu") -> Any:
    """What a file of weights holds.

    Args:
        device: "meta" for shapes alone.

    Raises:
        WeightsError: the file is not there, cannot be read, or holds more than plain values.
    """
    try:
        regular = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise WeightsError(f"no weights at {path} ({error.strerror})") from error
    if not regular:
        raise WeightsError(f"no weights at {path}; give the path of an existing file")
    try:
        content = _content(path, device)
        _require_plain(content, path.stat().st_size, device)
    except Exception as error:  # torch, zipfile, pickle and safetensors each raise their own kinds
        raise WeightsError(
            f"{path} is not a plain file of tensors ({_reason(error, path)}); get it again, or "
            "save its state dict alone"
        ) from error
    return content


def _content(path: Path, device: str) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path) if device != "meta" else _safetensors_shapes(path)
    if zipfile.is_zipfile(path):
        _require_honest(path)
        if is_jit_archive(path):
            return read_archive(path, device)
    return torch.load(path, map_location=device, weights_only=True)


def _require_honest(path: Path) -> None:
    """A zip that unpacks to far more than its size is a bomb: torch packs no numbers, only code."""
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > MOST_UNPACKED * (size := path.stat().st_size):
        raise WeightsError(f"its entries unpack to {claimed:,} bytes, the file has {size:,}")


def _require_plain(content: Any, size: int, device: str) -> None:
    """Real, dense tensors, none of which is larger than its file (shapes alone take no memory)."""
    for tensor in _tensors(content):
        dense = tensor.layout == torch.strided and not tensor.is_quantized
        if not dense or tensor.is_complex() or (tensor.is_meta and device != "meta"):
            raise WeightsError("it holds a tensor that is sparse, quantised, complex or empty")
        if device != "meta" and tensor.numel() * tensor.element_size() > size:
            shape = tuple(tensor.shape)
            raise WeightsError(f"a tensor of shape {shape} is larger than the file")


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in nested dictionaries and lists; what is met twice is looked at once."""
    left, seen = [content], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, Mapping):
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)


def _reason(error: Exception, path: Path) -> str:
    """What is wrong with a file, in a few words."""
    text = str(error)
    # Its own message advises to trust the file.
    if unsafe := re.search(r"unsupported (?:global|class)\W+(?:GLOBAL )?([\w.]+)", text, re.I):
        return f"it holds a {unsafe[1]}"
    if known := _not_weights(path):
        return known
    if isinstance(error, WeightsError):
        return text
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    known = isinstance(error, RuntimeError | ValueError | SafetensorError | zipfile.BadZipFile)
    if not known or "weights_only" in text:
        return "no format that torch.load knows"
    return text.partition("\n")[0][:LONGEST_REASON]


def _not_weights(path: Path) -> str:
    """What a file is that is often taken for weights; empty for others."""
    with path.open("rb") as file:
        beginning = file.read(512)
    if not beginning:
        return "it is empty"
    if beginning.startswith(_POINTER):
        return "it is a pointer of Git LFS, not the file itself: run `git lfs pull`"
    if re.match(rb"\s*(<!doctype|<html|<\?xml)", beginning, re.IGNORECASE):
        return "it is a web page"
    return ""


def _safetensors_shapes(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def _unwrap(state: Any, path: Path) -> list[tuple[str, Tensor]]:
    """The tensors of a checkpoint, also when they sit under "state_dict", "model" or the like."""
    for name in ("state_dict", "model", "model_state_dict", "decoder"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise WeightsError(f"{path} holds a {type(state).__name__}; expected tensors by name")
    return [(key, value) for key, value in state.items() if isinstance(value, Tensor)]
