"""The tensors of a TorchScript archive, as OpenAI publishes its CLIPs; none of its code is run.

`torch.jit.load` executes what an archive brings (a `__setstate__` can write any file) before anyone
could look at it. All that a state dict needs is data: `data.pkl` says in a pickle which object
holds which tensor, `data/0`, `data/1`, … are the numbers, and the sources under `code/`, read as
text, name each class's parameters and buffers. The pickle is read by an unpickler that knows
tensors, lists, and objects that are nothing but their attributes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fsslib.encoders.storage import WeightsError

DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
LISTS = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
DEPTH = 64
"""How deep modules may lie in each other."""
_CLASS = re.compile(r"^class (\w+)\(Module\):$", re.MULTILINE)
_DECLARED = re.compile(r"^  __(?:parameters|buffers)__ = \[(.*)\]$", re.MULTILINE)
_REMEMBER = ("BINPUT", "LONG_BINPUT", "PUT")


def is_jit_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive; it is only listed.

    Raises:
        zipfile.BadZipFile: it begins like a zip and is none.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in entry or entry.startswith("code/") for entry in archive.namelist())


def read_archive(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """What `torch.jit.load(path).state_dict()` holds: parameters and buffers by their full names.

    Args:
        device: "meta" for shapes alone.

    Raises:
        WeightsError: the pickle holds something else than modules and tensors.
        zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError and what else a broken file
        brings.
    """
    with zipfile.ZipFile(path) as archive:
        root = _root(archive)
        pickled = archive.read(f"{root}data.pkl")
        _require_modest(pickled)
        sources = {
            entry.removeprefix(f"{root}code/").removesuffix(".py").replace("/", "."): entry
            for entry in archive.namelist()
            if entry.startswith(f"{root}code/") and entry.endswith(".py")
        }
        declared = {
            f"{module}.{name}": tensors
            for module, entry in sources.items()
            for name, tensors in _declared(archive.read(entry).decode())
        }
        model = _Unpickler(pickled, partial(_record, archive, root), device).load()
        return dict(_named(model, declared))


class _Storage(NamedTuple):
    """Numbers in a record of the archive, not read yet."""

    dtype: torch.dtype
    key: str
    count: int


class _Module:
    """What stands for an object of a TorchScript class: its attributes."""

    qualified_name = ""


class _Unpickler(pickle.Unpickler):
    """Modules as `_Module`, tensors as tensors; anything else is refused before it is called."""

    def __init__(self, pickled: bytes, record: Callable[[str], bytes], device: str) -> None:
        super().__init__(io.BytesIO(pickled))
        self.record, self.device = record, device
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return type(name, (_Module,), {"qualified_name": f"{module}.{name}"})
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch.jit._pickle" and name in LISTS:
            return list
        raise WeightsError(f"it holds a {module}.{name}, expected modules and tensors alone")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise WeightsError("it refers to something that is no storage of numbers")
        return _Storage(dtype, key, int(count))

    def _tensor(
        self, storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any
    ) -> Tensor:
        """Within its storage, and no larger than that: a shape alone could claim any memory."""
        if not isinstance(storage, _Storage) or min((offset, *size, *stride)) < 0:
            raise WeightsError("one of its tensors has no storage, or a negative size")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and (last >= storage.count or math.prod(size) > storage.count):
            raise WeightsError(f"a tensor of shape {tuple(size)} exceeds its storage")
        if self.device == "meta":
            return torch.empty_strided(size, stride, dtype=storage.dtype, device="meta")
        return torch.as_strided(self._numbers(storage), size, stride, offset)

    def _numbers(self, storage: _Storage) -> Tensor:
        if storage.key not in self.storages:
            content = bytearray(self.record(storage.key))
            if len(content) != storage.count * storage.dtype.itemsize:
                raise WeightsError(f"its record {storage.key} has another size than it says")
            self.storages[storage.key] = (
                torch.frombuffer(content, dtype=storage.dtype)
                if content
                else torch.empty(0, dtype=storage.dtype)
            )
        return self.storages[storage.key]


def _root(archive: zipfile.ZipFile) -> str:
    """The folder that everything lies in, with its slash."""
    entry = min((e for e in archive.namelist() if e.endswith("data.pkl")), key=len)
    root = entry.removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise WeightsError("its numbers are not little-endian")
    return root


def _record(archive: zipfile.ZipFile, root: str, key: str) -> bytes:
    return archive.read(f"{root}data/{key}")


def _require_modest(pickled: bytes) -> None:
    """A memo's slot may have any number, and Python makes room for all slots below it."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _REMEMBER and argument > len(pickled):
            raise WeightsError("its pickle asks for more memory than it can need")


def _declared(source: str) -> Iterator[tuple[str, set[str]]]:
    """Classes of a TorchScript source, and the names of their parameters and buffers."""
    pieces = _CLASS.split(source)[1:]
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        lists = _DECLARED.findall(body)
        yield name, {tensor for one in lists for tensor in re.findall(r'"([^"]+)"', one)}


def _named(
    module: Any, declared: dict[str, set[str]], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Tensor]]:
    """Tensors that a module's class declares, and those of the modules in it."""
    if not isinstance(module, _Module) or depth > DEPTH:
        raise WeightsError("its pickle holds no module, or modules too deep in each other")
    tensors = declared.get(module.qualified_name, set())
    for name, value in vars(module).items():
        if isinstance(value, Tensor) and name in tensors:
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _named(value, declared, f"{prefix}{name}.", depth + 1)
