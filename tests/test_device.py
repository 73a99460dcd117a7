"""Every method on a device that is not the CPU: nothing mixes, and hardly anything waits.

On a virtual device (`virtual_device.py`), which needs no GPU. A training step is forward, loss,
backward, clipping and the optimiser's step. As a program this file prints where hosts wait:

    PYTHONPATH=. python tests/test_device.py
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import pytest
import torch
from device_cases import Case, build, cases, episodes, learns
from virtual_device import DEVICE, NAME, VirtualDevice, on_device

from fsslib.data.episode import Episode
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.n_way import any_way
from fsslib.training.schedule import build_optimizer


def training_step(
    method: FewShotSegmenter, batch: Episode, optimizer: torch.optim.Optimizer, half: bool
) -> None:
    with torch.autocast(NAME, torch.bfloat16, enabled=half):
        terms = method.loss(method(batch), batch)
        loss = torch.stack(list(terms.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()


def waits_of_steps(case: Case) -> dict[str, VirtualDevice]:
    """What a training step waits for, by precision; the first step, which embeds words, is left
    out."""
    with VirtualDevice():
        method = on_device(build(case)).train()
        optimizer = build_optimizer("adamw", method.parameters(), 1e-3, 1e-2)
        batch = episodes(case, 2).to(DEVICE)
        training_step(method, batch, optimizer, half=False)
    seen = {}
    for precision in ("fp32", "bf16"):
        with VirtualDevice() as seen[precision]:
            training_step(method, batch, optimizer, precision == "bf16")
    return seen


if __name__ == "__main__":
    import time
    total = Counter()
    for case in cases():
        if learns(case):
            t = time.perf_counter()
            try:
                seen = waits_of_steps(case)
            except Exception as e:
                import traceback; traceback.print_exc(limit=-4)
                print(case, "FAILED", repr(e)[:300]); continue
            print(case, {k: (sum(s.waits.values()), sum(s.operators.values())) for k, s in seen.items()}, round(time.perf_counter()-t,2))
            total += seen["bf16"].waits
    print(*total.most_common(), sep="\n")
