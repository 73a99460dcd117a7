"""The machine that a run is on: its device and threads, its versions, its source's revision."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import torch

import fsslib
from fsslib.config import ConfigError
from fsslib.files import PACKAGE
from fsslib.settings import Precision
from fsslib.training.precision import require_precision
from fsslib.training.processes import launched


def pick_device(name: str, *precisions: Precision) -> str:
    """The device of a run, made the one in use; `auto` becomes "cuda" where there is one.

    It is chosen once, here: what asks for no card by name (page-locked memory, random generators)
    then takes this one. Of several processes each gets its own. A run on the CPU gets its threads
    here, too.

    Args:
        precisions: that the run computes in.

    Raises:
        ConfigError: a device that is not there, or that lacks a precision.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and launched() > 1:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    require_present(name)
    if name.startswith("cuda") and torch.device(name).index is not None:
        torch.cuda.set_device(torch.device(name).index)
    if name == "cpu":
        limit_threads()
    try:
        for precision in precisions:
            require_precision(precision, name)
    except ValueError as error:
        raise ConfigError(f"device={name!r}: {error}") from error
    return name


def require_present(name: str) -> None:
    """ConfigError for a device that this machine has not."""
    if name == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device={name!r}: this machine has no Apple GPU; use 'auto' or 'cpu'")
    if name.startswith("cuda"):
        _require_cuda(name)


def _require_cuda(name: str) -> None:
    if not torch.cuda.is_available():
        raise ConfigError(f"device={name!r}: this machine has no CUDA device; use 'auto' or 'cpu'")
    index, count = torch.device(name).index, torch.cuda.device_count()
    if index is None:
        return
    if index >= count:
        raise ConfigError(
            f"device={name!r}: this machine has {count} CUDA device{'s' * (count > 1)}, numbered "
            f"from 0; use one of {[f'cuda:{i}' for i in range(count)]}, or 'auto'"
        )


def set_switches(device: str, tf32: bool, cudnn_benchmark: bool) -> None:
    """How an NVIDIA GPU rounds factors of fp32 products, and how cuDNN chooses its algorithms.

    Raises:
        ConfigError: either is switched on where it does nothing.
    """
    cuda = device.startswith("cuda")
    for name, value in (("tf32", tf32), ("cudnn_benchmark", cudnn_benchmark)):
        if value and not cuda:
            raise ConfigError(f"{name}=True with device={device!r}: it is for NVIDIA GPUs alone")
    if not cuda:
        return
    if tf32 and torch.cuda.get_device_capability(device) < TF32_FROM:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"tf32=True: {name} has no TF32; it came with Ampere, leave it out")
    torch.backends.cudnn.benchmark = cudnn_benchmark
    backends = torch.backends
    if hasattr(backends, "fp32_precision"):  # PyTorch 2.9 and later
        for part in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
            part.fp32_precision = "tf32" if tf32 else "ieee"
    else:
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32


def require_compiler(device: str) -> None:
    """ConfigError where torch.compile does not work, with its own reason."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except Exception as error:  # of Dynamo, Inductor, Triton or a missing C++ compiler
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"compile=True does not work here ({reason}); leave it out") from error


TF32_FROM = (8, 0)
"""Compute capability."""
THREADS = "OMP_NUM_THREADS"
"""Whoever sets this variable says how many threads a process may use."""


def limit_threads() -> None:
    """One thread for torch, unless `OMP_NUM_THREADS` says another number: two threads on a busy
    machine of two cores were measured ten times slower than one."""
    if not os.environ.get(THREADS):
        torch.set_num_threads(1)


def limit_threads_of_kernels() -> None:
    """The same for processes that are started from here, whose other libraries read the variable
    when they load."""
    os.environ.setdefault(THREADS, "1")


def environment(device: str) -> dict[str, Any]:
    """Device, versions and git revision, for results and cards."""
    names = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "scipy", "scikit-image")
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    threads = torch.get_num_threads()
    return {
        "device": gpu or f"CPU ({platform.machine()}, {threads} thread{'s' * (threads > 1)})",
        "versions": {"fsslib": fsslib.__version__, **{name: version(name) for name in names}},
        "git": git_revision(),
    }


def git_revision() -> str | None:
    """Commit of the source tree, with `+` if it was changed since; None outside git."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        completed = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=True)
        return completed.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
