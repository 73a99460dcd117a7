"""Files that claim to be weights: every kind that a loader may be given."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from fsslib.encoders import build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.reading import read_state
from fsslib.encoders.weights import load_fitting
from fsslib.interop.heads import load_head
from fsslib.methods import build_method
from fsslib.training.checkpoint import go_on, save_checkpoint
from hostile.judge import Case

Writer = Callable[[Path, Path], None]
"""Writes a file; whatever code is in it makes the second path when it is run."""


class Plant:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


class Scripted(nn.Module):
    """The usual tensors of a module that TorchScript can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3)
        self.plain = torch.ones(2)  # neither a parameter nor a buffer
        self.register_buffer("input_resolution", torch.tensor(224))
        self.scale = nn.Parameter(torch.ones(3).half())
        self.tied = self.linear

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x)) + self.scale.float() + self.plain.sum()


class Saving(nn.Module):
    """Saves a file when `torch.jit.load` restores it."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.marker, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.marker = state[0]
        self.training = state[1]
        torch.save(torch.ones(1), self.marker)

    def forward(self, x: Tensor) -> Tensor:
        return x


def script(module: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated, and still published
        torch.jit.save(torch.jit.script(module), str(path))


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None], packed: bool = False):
    """A zip with every entry changed; None leaves it out."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries.items():
            if (new := change(name, content)) is not None:
                archive.writestr(name, new)


def scripted_with_pickle(make: Callable[[Path], bytes]) -> Writer:
    """A TorchScript archive whose objects are another pickle."""

    def write(path: Path, marker: Path) -> None:
        script(Scripted(), path)
        rewritten(path, lambda name, old: make(marker) if name.endswith("/data.pkl") else old)

    return write


def scripted_without(ending: str) -> Writer:
    def write(path: Path, _: Path) -> None:
        script(Scripted(), path)
        rewritten(path, lambda name, old: None if name.endswith(ending) else old)

    return write


def tensor_pickle(size: tuple, stride: tuple, offset: int = 0, count: int = 4) -> bytes:
    """A module with one tensor over the record `data/0`."""

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(pickle.dumps(v, 2)[2:-1] for v in values) + b"t"

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += pickle.dumps(count, 2)[2:-1] + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickle.dumps(offset, 2)[2:-1]
    tensor += numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02c__torch__\nScripted\n)\x81}(" + text("scale") + tensor + b"ub."


CYCLE = b"\x80\x02c__torch__\nM\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00ub."
MEMO_BOMB = b"\x80\x02c__torch__\nM\n)\x81r\xff\xff\xff\x7f}b."


def saved(make: Callable[[Path], object], legacy: bool = False) -> Writer:
    def write(path: Path, marker: Path) -> None:
        torch.save(make(marker), path, _use_new_zipfile_serialization=not legacy)

    return write


def content(*pieces: bytes) -> Writer:
    return lambda path, _: path.write_bytes(b"".join(pieces)) and None


def safetensors(header: object, body: bytes = b"", length: int | None = None) -> Writer:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return content(struct.pack("<Q", len(text) if length is None else length), text, body)


def entry(shape: list, offsets: list, dtype: str = "F32") -> dict:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def deflated(path: Path, _: Path) -> None:
    torch.save({"a": torch.zeros(1000, 1000)}, path)
    rewritten(path, lambda _, old: old, packed=True)


def overlapping(path: Path, _: Path) -> None:
    """Forty names for one record, as in zip bombs without compression."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}))
        archive.writestr("a/data/0", b"0" * 100_000)
        one = archive.infolist()[-1]
        for number in range(1, 40):
            twin = zipfile.ZipInfo(f"a/data/{number}")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(twin, name, getattr(one, name))
            archive.filelist.append(twin)


def cut(path: Path, _: Path) -> None:
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:1500])


def saving(path: Path, marker: Path) -> None:
    script(Saving(str(marker)), path)


def objects() -> np.ndarray:
    return np.array([{"a": 1}, None], dtype=object)


def sparse() -> Tensor:
    return torch.eye(3).to_sparse()


HOSTILE: dict[str, Writer] = {
    "pickle": lambda path, marker: path.write_bytes(pickle.dumps(Plant(marker))) and None,
    "pickle_torch": saved(Plant),
    "pickle_torch_legacy": saved(Plant, legacy=True),
    "pickle_beside_tensors": saved(lambda m: {"a": torch.ones(2), "b": Plant(m)}),
    "jit_setstate": saving,
    "jit_pickle": scripted_with_pickle(lambda m: pickle.dumps(Plant(m), 2)),
    "jit_pickle_4": scripted_with_pickle(lambda m: pickle.dumps(Plant(m), 4)),
    "jit_not_a_module": scripted_with_pickle(lambda _: pickle.dumps([1, 2], 2)),
    "jit_cycle": scripted_with_pickle(lambda _: CYCLE),
    "jit_memo": scripted_with_pickle(lambda _: MEMO_BOMB),
    "jit_huge": scripted_with_pickle(lambda _: tensor_pickle((10**6, 10**6), (0, 0))),
    "jit_outside": scripted_with_pickle(lambda _: tensor_pickle((3,), (1,), offset=10**9)),
    "jit_before": scripted_with_pickle(lambda _: tensor_pickle((3,), (1,), offset=-2)),
    "jit_negative": scripted_with_pickle(lambda _: tensor_pickle((-3,), (1,))),
    "jit_ragged": scripted_with_pickle(lambda _: tensor_pickle((2, 2), (1,))),
    "jit_other_count": scripted_with_pickle(lambda _: tensor_pickle((9,), (1,), count=10**9)),
    "jit_cut_pickle": scripted_with_pickle(lambda _: tensor_pickle((2,), (1,))[:40]),
    "jit_no_pickle": scripted_without("/data.pkl"),
    "jit_no_record": scripted_without("/data/0"),
    "object": saved(lambda _: objects()),
    "module": saved(lambda _: nn.Linear(2, 2)),
    "function": saved(lambda _: {"a": os.getcwd}),
    "sparse": saved(lambda _: {"a": sparse()}),
    "complex": saved(lambda _: {"a": torch.ones(2, dtype=torch.complex64)}),
    "meta": saved(lambda _: {"a": torch.empty(3, device="meta")}),
    "claims": saved(lambda _: {"a": torch.zeros(1).half().expand(10**6, 10**6)}),
    "list": saved(lambda _: [1, 2, 3]),
    "number": saved(lambda _: 7),
    "text": content(b"hello, this is no checkpoint"),
    "empty": content(b""),
    "web_page": content(b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    "lfs": content(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"),
    "zip_start": content(b"PK\x03\x04", b"\x00" * 200),
    "zip_end": content(b"\x00" * 200, b"PK\x05\x06", b"\xff" * 18),
    "zip_empty": content(b"PK\x05\x06", b"\x00" * 18),
    "zip_deflated": deflated,
    "zip_overlapping": overlapping,
    "cut": cut,
    "numpy_objects": lambda path, _: np.save(path.open("wb"), objects(), allow_pickle=True),
}
SAFETENSORS: dict[str, Writer] = {
    "long_header": safetensors(b"{}", length=2**63),
    "longer_than_file": safetensors(b"{}", length=10**6),
    "no_json": safetensors(b"{nothing"),
    "list": safetensors([1]),
    "no_entry": safetensors({"a": 1}),
    "outside": safetensors(entry([4], [0, 16])),
    "backwards": safetensors(entry([1], [4, 0]), b"1234"),
    "other_size": safetensors(entry([100], [0, 4]), b"1234"),
    "huge_shape": safetensors(entry([2**40, 2**40], [0, 4]), b"1234"),
    "unknown_type": safetensors(entry([1], [0, 4], "F33"), b"1234"),
    "unused_bytes": safetensors(entry([1], [0, 4]), b"12345678"),
    "not_utf8": safetensors(b'{"\xff": 1}'),
    "deep": safetensors(b"[" * 100_000),
    "empty": content(b""),
    "short": content(b"\x01\x02"),
    "zip": lambda path, _: torch.save({"a": torch.ones(2)}, path),
}


def spoilt(original: bytes, rng: np.random.Generator) -> bytes:
    """A file with a bit flipped, a piece cut out, doubled or made random."""
    content, length = bytearray(original), len(original)
    start = int(rng.integers(length))
    stop = min(length, start + int(rng.integers(1, max(2, length // 4))))
    kind = int(rng.integers(4))
    if kind == 0:
        content[start] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del content[start:stop]
    elif kind == 2:
        content[start:start] = content[start:stop]
    else:
        content[start:stop] = rng.bytes(stop - start)
    return bytes(content)


def plain_checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.ones(8, 4), "a.bias": torch.ones(8)}}, buffer)
    return buffer.getvalue()


def cases() -> Iterator[Case]:
    """Hostile files for every loader, and sound ones that were spoilt."""
    for name, write in HOSTILE.items():
        yield Case("weights", name, _reading(write, "weights.pt", read_state), "refused")
        yield Case("weights", f"{name}_head", _reading(write, "head.pth", _as_head), "refused")
        yield Case("checkpoints", name, _reading(write, "checkpoint.pt", _going_on), "refused")
    for name, write in SAFETENSORS.items():
        yield Case(
            "weights", f"safe_{name}", _reading(write, "a.safetensors", read_state), "refused"
        )
        act = _reading(write, "a.safetensors", lambda path: load_clip("scenes-clip-rn", path))
        yield Case("weights", f"{name}_clip", act, "refused")
    rng = np.random.default_rng(0)
    archive, tensors = _bytes_of(lambda p: script(Scripted(), p)), save_tensors(_STATE)
    for number in range(30):
        for kind, original in (("torch", plain_checkpoint()), ("jit", archive)):
            write = content(spoilt(original, rng))
            yield Case("weights", f"{kind}_{number}", _reading(write, "a.pt", read_state))
        write = content(spoilt(tensors, rng))
        yield Case("weights", f"safe_{number}", _reading(write, "a.safetensors", read_state))
    sound = _bytes_of(_save_checkpoint)
    for number in range(30):
        write = content(spoilt(sound, rng))
        yield Case("checkpoints", f"spoilt_{number}", _reading(write, "checkpoint.pt", _unchanged))
    for name, value in (("nan", float("nan")), ("infinite", float("inf"))):
        for loader in (_load_stored, _load_torch):
            act = partial(loader, value=value)
            yield Case("weights", f"{name}{loader.__name__}", act, "refused")
    yield Case("weights", "whole_numbers", partial(_load_stored, value=1, kind="int64"), "refused")


_STATE = {"weight": torch.ones(8, 4), "bias": torch.ones(8)}


def _reading(write: Writer, name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
    def act(folder: Path) -> object:
        write(folder / name, folder / "executed")
        return read(folder / name)

    return act


def _as_head(path: Path) -> object:
    return load_head(build_method("panet", build_backbone("scenes-resnet", "random")), path)


def _save_checkpoint(path: Path) -> None:
    save_checkpoint(path, {"step": 1}, {"lr": 0.1}, {"model": _filled(1.0)})


def _filled(value: float) -> nn.Linear:
    layer = nn.Linear(64, 64)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, value)
    return layer


def _unchanged(path: Path) -> None:
    """A spoilt checkpoint is refused, or what was spoilt is none of its content."""
    layer = _filled(0.0)
    state = go_on(path, {"lr": 0.1}, {"step": 0}, {"model": layer})
    assert state["step"] == 1 and all((value == 1).all() for value in layer.parameters())


def _going_on(path: Path) -> object:
    return go_on(path, {"lr": 0.1}, {"step": 0}, {"model": nn.Linear(4, 4)})


def _bytes_of(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(path := Path(folder) / "file")
        return path.read_bytes()


def _load_stored(folder: Path, value: float, kind: str = "float32") -> None:
    state = {key: tensor.to(getattr(torch, kind)) * value for key, tensor in _STATE.items()}
    (folder / "a.safetensors").write_bytes(save_tensors(state))
    load_fitting(nn.Linear(4, 8), read_state(folder / "a.safetensors"), "a.safetensors")


def _load_torch(folder: Path, value: float) -> None:
    method = build_method("panet", build_backbone("scenes-resnet", "random"))
    head = {
        key: torch.full_like(tensor, value) if tensor.is_floating_point() else tensor
        for key, tensor in method.head_state().items()
    }
    torch.save(head, folder / "head.pth")
    load_head(method, folder / "head.pth")
