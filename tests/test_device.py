"""Every method on a device that is not the CPU: nothing mixes, and the host hardly ever waits.

On a virtual device (`virtual_device.py`), which needs no GPU, in fp32 and under autocast. A step is
forward, loss and backward; optimisers are looked at once, and what a loop logs comes on top. As a
program this file prints the table of waits, or with `--table` operators, waits and copies of every
method as it comes, with one support and with five:

    PYTHONPATH=. python tests/test_device.py [part of a case's name]
    PYTHONPATH=. python tests/test_device.py --table
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import pytest
import torch
from device_cases import SIZE, Case, build, cases, episodes, learns
from virtual_device import DEVICE, NAME, VirtualDevice, on_device

from fsslib.data.episode import Episode
from fsslib.data.protocol import Protocol
from fsslib.evaluation.evaluator import evaluating, score_batch
from fsslib.evaluation.map_scores import MapMeter
from fsslib.evaluation.meter import Meter
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.n_way import any_way
from fsslib.training.optimizers import build_optimizer

PROTOCOL = Protocol.preset("scenes10i", image_size=SIZE, border="background")
STEP_WAITS, BATCH_WAITS = 1, {"masked_global": 2}
"""How often the host may wait in a training step, and in a batch of an evaluation of any size: once
for the counts. `masked_global` cuts objects out, in sizes that the host needs; methods that answer
on the host (`GridMethod.on_host`) have a batch's features brought there in one copy."""
Logs = dict[str, VirtualDevice]


def watched(action: Callable[[], None]) -> VirtualDevice:
    with VirtualDevice() as log:
        action()
    return log


def training_logs(case: Case, method: FewShotSegmenter) -> Logs:
    """What happens in a training step in fp32 and in bf16; words are embedded before, once and for
    all."""
    method.train()
    with VirtualDevice(), torch.no_grad():
        batch = episodes(case, 2).to(DEVICE)
        method(batch)

    def step(half: bool = False) -> None:
        method.zero_grad()
        with torch.autocast(NAME, torch.bfloat16, enabled=half):
            terms = method.loss(method(batch), batch)
            loss = torch.stack(list(terms.values())).sum()
        loss.backward()

    return {"step fp32": watched(step), "step bf16": watched(lambda: step(half=True))}


def evaluation_logs(case: Case, method: FewShotSegmenter) -> Logs:
    """What happens in a batch of three episodes in fp32, and in one of one episode in bf16."""
    logs, way = {}, max(case.way, 2 if case.shot == 1 else 1)
    method = any_way(method, way)

    def score(batch: Episode, half: bool) -> None:
        names = method.scored_maps if batch.way == 1 else ()
        meters = {name: MapMeter() for name in names}
        with torch.inference_mode(), torch.autocast(NAME, torch.bfloat16, enabled=half):
            score_batch(method, batch, PROTOCOL, Meter(), meters)

    with evaluating(method):
        for size, half in ((3, False), (1, True)):
            with VirtualDevice():
                batch = episodes(case, size, way).to(DEVICE)
                score(batch, half) if size == 3 and not learns(case) else None  # embeds words
            name = f"batch of {size}, {way}-way, {'bf16' if half else 'fp32'}"
            logs[name] = watched(lambda batch=batch, half=half: score(batch, half))
    return logs


def all_logs(case: Case) -> tuple[Logs, Logs]:
    with VirtualDevice():
        method = on_device(build(case))
    training = training_logs(case, method) if learns(case) else {}
    return training, evaluation_logs(case, method)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_nothing_mixes_and_hardly_anything_waits(case):
    training, evaluation = all_logs(case)
    variant = dict(case.settings).get("variant", "")
    batch_waits = BATCH_WAITS.get(variant, 1) + getattr(case.kind, "on_host", False)
    for logs, most in ((training, STEP_WAITS), (evaluation, batch_waits)):
        for what, log in logs.items():
            assert log.waits.total() <= most, f"{what}\n{log.table()}"
            assert log.operators, what


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimisers_and_clipping_wait_for_nothing(name):
    with VirtualDevice():
        layer = on_device(torch.nn.Linear(3, 2))
    with VirtualDevice() as log:
        optimizer = build_optimizer(name, layer.parameters(), 1e-3, 1e-2)
        before = layer.weight.detach().clone()
        for _ in range(2):
            layer(torch.ones(4, 3, device=DEVICE)).square().sum().backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        assert not log.waits, log.table()
        assert (layer.weight != before).all()


def print_table() -> None:
    """Operators / waits / copies of a training step and of an evaluated batch of three."""
    print("| method | training step, 1-shot | 5-shot | evaluated batch, 1-shot | 5-shot |")
    print("| --- | --- | --- | --- | --- |")
    rows: dict[str, dict[str, str]] = {}
    for case in cases():
        plain = case.guidance == "mask" and case.prior == "own" and not case.settings
        if plain and case.way == 1:
            logs = all_logs(case)
            for kind, chosen in (("step", "step fp32"), ("batch", "batch of 3")):
                matching = [v for logs_ in logs for k, v in logs_.items() if k.startswith(chosen)]
                cell = " / ".join(_counts(matching[0])) if matching else ""
                rows.setdefault(case.method, {})[f"{kind}{case.shot}"] = cell
    for method, row in rows.items():
        cells = [row[name] for name in ("step1", "step5", "batch1", "batch5")]
        print(f"| {' | '.join([method, *cells])} |")


def _counts(log: VirtualDevice) -> list[str]:
    totals = (log.operators.total(), log.waits.total(), log.transfers.total())
    return [f"{total:,}" for total in totals]


def main(part: str = "") -> None:
    """Waits by place, and how many cases have them."""
    places: Counter[tuple[str, ...]] = Counter()
    for case in cases():
        if part in str(case):
            training, evaluation = all_logs(case)
            for kind, logs in (("step", training), ("batch", evaluation)):
                counts = [log.waits.total() for log in logs.values()]
                operators = [log.operators.total() for log in logs.values()]
                print(f"{case!s:60s} {kind:6s} waits {counts}  operators {operators}")
                places.update((kind, *place) for log in logs.values() for place in log.waits)
    for (kind, what, line), number in places.most_common():
        print(f"{number:5d}  {kind:6s} {what:24s} {line}")


if __name__ == "__main__":
    print_table() if sys.argv[1:] == ["--table"] else main(*sys.argv[1:])
