"""The peak memory of a call, beyond what was there before it.

On CUDA: what torch's allocator says. On a CPU: every allocation and release that torch's allocator
makes during the call, in their order, added up; the peak is the largest sum. That is exact to the
byte, the same on every run, and free of what the allocator of the system keeps for later. It does
not see what oneDNN and MKL take for themselves while an operator runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import accumulate

import torch
from torch.profiler import ProfilerActivity, profile

MIB = 2**20
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it announces itself on the screen


def peak_memory(call: Callable[[], object], device: str) -> float:
    """MiB. What the call returns is dropped at once."""
    if device != "cpu":
        return _peak_on_cuda(call, device)
    with profile(profile_memory=True, activities=[ProfilerActivity.CPU]) as trace:
        call()
    events = [e for e in trace.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [e.nbytes() for e in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes, initial=0)) / MIB


def _peak_on_cuda(call: Callable[[], object], device: str) -> float:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / MIB
