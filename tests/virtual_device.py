"""A device that needs no GPU: tensors that say they live on it, and compute on the CPU.

Three things go wrong on a GPU that no test on a CPU sees: tensors of two devices meet in one
operation; something reads a device's tensor as if it lay in the host's memory; and the host waits
for the device, again and again, because a value is read, an index is boolean or data is copied.
Here all of them are visible, and results are those of the CPU to the last bit, so that control flow
which depends on data runs as it does elsewhere (fake tensors cannot do that).

    with VirtualDevice() as log:
        model = on_device(model)
        loss = model(pictures.to(DEVICE)).sum()
        loss.backward()
    print(log.table())

Built on PyTorch's Python backend of the PrivateUse1 key (torch >= 2.10, an experimental interface)
and a dispatch mode. Autocast follows CUDA's rules (`autocast_rules.py`).

What counts as a wait, as on CUDA: reading a value (`item`, `bool`, `int`, `tolist`), an output
whose size depends on data (`nonzero`, `unique`, `masked_select`, a boolean index, `bincount`), and
every copy between host and device in one direction or the other, unless it is to the device and
`non_blocking`. A boolean index that is assigned one number is a `masked_fill`, which waits for
nothing. What this cannot see: the order in which a device adds, memory, and speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import autocast_rules
import pytest
import torch
import torch.utils.backend_registration as registration
from operators import each, is_composite, is_view, running_line, tensors_of, written_arguments
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

if not hasattr(registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("the virtual device needs torch >= 2.10", allow_module_level=True)

NAME = "virtual"
WATCHED = "/fsslib/"
"""Part of the path of files whose lines are named as the cause."""
CPU = torch.device("cpu")
READS = {"_local_scalar_dense": "item", "equal": "equal"}
SIZED_BY_DATA = ("nonzero", "masked_select", "_unique", "unique_", "bincount", "repeat_interleave")


class _Module(registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


registration._setup_privateuseone_for_python_backend(NAME, _Module())
autocast_rules.install(NAME)
DEVICE = torch.device(NAME, 0)


class VirtualTensor(Tensor):
    """Wraps a CPU tensor (`host`) and reports DEVICE."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor, requires_grad: bool = False) -> VirtualTensor:
        return Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=DEVICE,
            requires_grad=requires_grad,
        )

    def __init__(self, host: Tensor, requires_grad: bool = False) -> None:
        self.host = host

    def tolist(self) -> Any:
        VirtualDevice.current.wait("tolist")
        return self.host.tolist()

    def numpy(self, *_: Any, **__: Any) -> None:
        raise TypeError("can't convert a device's tensor to numpy; use .cpu() first")

    __array__ = numpy

    def __repr__(self) -> str:
        return f"VirtualTensor({self.host!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None) -> None:
        raise RuntimeError("a virtual tensor was used outside of VirtualDevice()")


class VirtualDevice(TorchDispatchMode):
    """Runs operators on the host's copies, and writes down what a device would have made of them.

    Attributes:
        waits: how often the host waited, by (what, line of the package).
        transfers: copies by ("to device" or "to host", line), waited for or not.
        operators: how often each operator ran on the device.

    Raises:
        RuntimeError: an operation on tensors of both devices (names the line).
    """

    current: VirtualDevice

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[tuple[str, str]] = Counter()
        self.transfers: Counter[tuple[str, str]] = Counter()
        self.operators: Counter[str] = Counter()
        self._lifting: list[bool] = []

    def __enter__(self) -> VirtualDevice:
        VirtualDevice.current = self
        # torch.tensor(…, device=DEVICE) makes a CPU tensor first, whose copy comes by here.
        self._lifting.append(torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self._lifting.pop())
        super().__exit__(*error)

    def wait(self, what: str) -> None:
        """The host waits for the device."""
        self.waits[what, running_line(WATCHED)] += 1

    def table(self) -> str:
        """Waits and transfers, the most frequent first."""
        rows = [(n, "wait", *key) for key, n in self.waits.most_common()]
        rows += [(n, "copy", *key) for key, n in self.transfers.most_common()]
        return "\n".join(f"{n:5d}  {kind}  {what:26s} {line}" for n, kind, what, line in rows)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        kwargs = dict(kwargs or {})
        name = function.overloadpacket.__name__
        if name == "_to_copy":
            return self._copied(function, args[0], kwargs)
        if name == "copy_":
            return self._copied_into(*args[:2], *args[2:3])
        tensors = list(tensors_of((*args, *kwargs.values())))
        virtual = any(isinstance(tensor, VirtualTensor) for tensor in tensors)
        target = kwargs.get("device")
        if not virtual and not _is_virtual(target):
            return function(*args, **kwargs)
        if is_composite(function):  # only inference mode leaves such an operator whole
            with self:
                return function.decompose(*args, **kwargs)
        self.operators[name] += 1
        if virtual:
            self._refuse_mixing(name, args, tensors)
            self._note_waits(name, args)
        if target is not None:
            kwargs = {**kwargs, "device": CPU}
        kwargs.pop("pin_memory", None)
        out = function(*each(_host, args), **{k: each(_host, v) for k, v in kwargs.items()})
        if function._schema.is_mutable:
            return _mutated(function, args, kwargs, out)
        if target is not None and not _is_virtual(target):
            return out
        # As torch has it: in inference mode, a view of an ordinary tensor is ordinary, too.
        ordinary = is_view(function) and not tensors[0].is_inference()
        with torch.inference_mode(torch.is_inference_mode_enabled() and not ordinary):
            return each(_wrapped, out)

    def _copied(self, function: Callable, source: Tensor, kwargs: dict[str, Any]) -> Tensor:
        target, was_virtual = kwargs.get("device"), isinstance(source, VirtualTensor)
        virtual = was_virtual if target is None else _is_virtual(target)
        if virtual != was_virtual:
            self._transfer(virtual, kwargs.get("non_blocking", False))
        dropped = ("device", "pin_memory", "non_blocking")
        out = function(_host(source), **{k: v for k, v in kwargs.items() if k not in dropped})
        if virtual or was_virtual:
            self.operators["_to_copy"] += 1
        return VirtualTensor(out) if virtual else out

    def _copied_into(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        virtual = isinstance(target, VirtualTensor)
        if virtual != isinstance(source, VirtualTensor):
            self._transfer(virtual, non_blocking)
        if virtual:
            self.operators["copy_"] += 1
        _host(target).copy_(_host(source))
        return target

    def _transfer(self, to_device: bool, non_blocking: bool) -> None:
        what = "to device" if to_device else "to host"
        self.transfers[what, running_line(WATCHED)] += 1
        if not (to_device and non_blocking):
            self.wait(f"copy {what}")

    def _note_waits(self, name: str, args: tuple) -> None:
        if what := READS.get(name):
            self.wait(what)
        elif name.startswith(SIZED_BY_DATA):
            sizes_given = name == "repeat_interleave" and not isinstance(args[0], VirtualTensor)
            self.wait(name) if not sizes_given else None
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            chosen = [index for index in args[1] if isinstance(index, Tensor)]
            boolean = any(index.dtype in (torch.bool, torch.uint8) for index in chosen)
            fills = name != "index" and args[2].numel() == 1
            if boolean and not fills:
                self.wait("boolean index")
            for index in chosen:
                if not isinstance(index, VirtualTensor):  # allowed, and copied
                    self._transfer(True, False)

    def _refuse_mixing(self, name: str, args: tuple, tensors: list[Tensor]) -> None:
        if name.startswith(("index", "_index_put")) and isinstance(args[0], VirtualTensor):
            return  # an index may lie in the host's memory
        for tensor in tensors:  # numbers of no dimension may come along
            if not isinstance(tensor, VirtualTensor) and tensor.dim():
                shape = tuple(tensor.shape)
                where = running_line(WATCHED)
                raise RuntimeError(f"{name}: a CPU tensor {shape} mixed in at {where}")


def on_device(module: nn.Module) -> nn.Module:
    """The module with new parameters and buffers on DEVICE; `.to(DEVICE)` would want to write into
    the old ones."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return module.to(DEVICE)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


def _mutated(function: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> Any:
    """What an operator that writes into its arguments returns: those, or nothing for lists."""
    if out is None:
        return None
    written = written_arguments(function, args, kwargs)
    if isinstance(out, Tensor):
        return written[0]
    by_host = {id(_host(tensor)): tensor for tensor in tensors_of(written)}
    return each(lambda leaf: by_host.get(id(leaf), _wrapped(leaf)), out)


def _is_virtual(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _host(value: Any) -> Any:
    return value.host if isinstance(value, VirtualTensor) else value


def _wrapped(value: Any) -> Any:
    plain = isinstance(value, Tensor) and not isinstance(value, VirtualTensor)
    return VirtualTensor(value) if plain else value
