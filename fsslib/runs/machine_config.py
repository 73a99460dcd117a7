"""The machine that a run is on, as parameters name it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fsslib.config import ConfigError, strict
from fsslib.grammar import parse_group
from fsslib.settings import Count, Natural, Precision, Settings

MACHINE = (
    *("device", "processes", "workers", "feature_cache", "clip_cache", "prepare_workers"),
    *("tf32", "cudnn_benchmark", "compile"),
)
"""Parameters of the machine that can be given alone, in any template."""


def require_device(name: str) -> None:
    """ConfigError for what is no device's name; whether it is there, `pick_device` asks."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise ConfigError(f"device={name!r}: expected auto, cpu, cuda or cuda:1")


@dataclass(frozen=True)
class MachineConfig(Settings):
    """Where and how fast a run goes; nothing of it decides a result."""

    device: str = "auto"
    """auto, cpu, mps, cuda or cuda:1."""
    processes: Count = 1
    """That share every batch of a training, and the batches of an evaluation; each has a GPU of its
    own, or one thread of the CPU."""
    workers: Natural | None = None
    """Loading processes, each on a core of its own; None: one, or what the recipe says."""
    batch_size: Count = 8
    """Test episodes that are looked at together."""
    feature_cache: Natural = 0
    """GiB on disk for what frozen encoders said of pictures, kept from run to run and in place of
    `clip_cache`; Scenes-10i is then rendered once and kept, too. Pays without augmentation."""
    clip_cache: Natural = 0
    """MiB of memory for what frozen encoders have said of pictures before."""
    prepare_workers: Natural = 2
    """Processes that render scenes and make superpixels, once."""
    tf32: bool = False
    """NVIDIA GPUs round factors of fp32 products to 10 bits; not measured here."""
    cudnn_benchmark: bool = False
    """cuDNN tries its algorithms on every new shape and takes the fastest; not measured here."""
    compile: bool = False
    """torch.compile for the stages of a method's backbones; 1.08 of the time on a CPU."""

    @classmethod
    def parse(cls, parameter: str, text: str) -> MachineConfig:
        """`"cuda workers=4"`: the device first, or none."""
        device, changes = parse_group(parameter, text)
        return strict(cls, ({"device": device} if device else {}) | changes)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_device(self.device)
        if self.processes > 1 and (":" in self.device or self.device == "mps"):
            raise ConfigError(
                f"processes={self.processes} with device={self.device!r}: each takes a GPU of its "
                "own, from the first one on; use device=cuda, or cpu"
            )

    def use(self, *precisions: Precision, compiles: bool = False) -> str:
        """Makes this machine the one in use; returns its device.

        Args:
            precisions: that the run computes in.
            compiles: whether the run reads `compile`.

        Raises:
            ConfigError: a device that is not there, or that lacks what is switched on.
        """
        from fsslib.runs.machine import pick_device, require_compiler, set_switches

        device = pick_device(self.device, *precisions)
        set_switches(device, self.tf32, self.cudnn_benchmark)
        if self.compile and not compiles:
            raise ConfigError("compile=True: this run compiles nothing; leave it out")
        if self.compile:
            require_compiler(device)
        return device

    @property
    def loaders(self) -> int:
        """`workers`, one where nothing is said."""
        return 1 if self.workers is None else self.workers
