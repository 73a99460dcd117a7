"""The machine that a run is on: its device, its versions, the revision of its source."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import version
from typing import Any

import torch

import fsslib
from fsslib.config import ConfigError
from fsslib.files import PACKAGE


def require_device(name: str) -> None:
    """ConfigError for what is no device's name; whether it is there, `pick_device` asks."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ConfigError(f"device={name!r}: expected auto, cpu, cuda or cuda:1")


def pick_device(name: str) -> str:
    """`auto` becomes "cuda" where there is one; a device that is not there is an error."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={name!r}: this machine has no CUDA device; use 'auto' or 'cpu'")
    return name


def environment(device: str) -> dict[str, Any]:
    """Device, versions and git revision, for results and cards."""
    names = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "scipy", "scikit-image")
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else None
    return {
        "device": gpu or f"CPU ({platform.machine()}, {torch.get_num_threads()} thread)",
        "versions": {"fsslib": fsslib.__version__, **{name: version(name) for name in names}},
        "git": git_revision(),
    }


def git_revision() -> str | None:
    """Commit of the source tree, with `+` if it was changed since; None outside git."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
