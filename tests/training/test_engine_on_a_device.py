"""The segmenter's training on a device that is not the CPU: nothing mixes, and a step that is not
logged, and the loading of the next batch beside it, wait for nothing but what its method waits for.
"""

import pytest
import torch
from device_cases import Case, build, episodes
from virtual_device import DEVICE, VirtualDevice, on_device

from fsslib.training import engine, loop
from fsslib.training.ahead import Ahead
from fsslib.training.journal import read_journal
from fsslib.training.recipe import TrainConfig
from fsslib.training.step import Step


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16", "accumulate": 2},
        {"optimizer": "sgd", "max_grad_norm": 1.0, "accumulate": 2},
        {"max_grad_norm": 1.0},
    ],
    ids=str,
)
def test_a_training_on_a_device(changes, tmp_path, monkeypatch):
    case = Case("pfenet", "mask", "own", 1, 1)
    batch, learn, made, waits = episodes(case, 4), Step.learn, Ahead._made, []
    parts = [batch] if "accumulate" not in changes else [episodes(case, 2), episodes(case, 2)]

    def watched(step, *args):
        before = log.waits.total()
        learn(step, *args)
        waits.append(log.waits.total() - before)

    def seen(ahead):
        with log:  # which sees its own thread alone
            return made(ahead)

    monkeypatch.setattr(Step, "learn", watched)
    monkeypatch.setattr(Ahead, "_made", seen)
    monkeypatch.setattr(loop, "item_loader", lambda *_: [parts] * 4)
    # Its tensors are no files' yet.
    monkeypatch.setattr(engine, "save_checkpoint", lambda *_: None)
    with VirtualDevice() as log:
        method = on_device(build(case))
        config = TrainConfig(steps=4, batch_size=4, workers=0, log_every=4, **changes)
        loop.train(method, lambda _: None, config, tmp_path, DEVICE, report=str)
    assert waits == [0, 0, 0, 0], log.table()
    (row,) = read_journal(tmp_path / "metrics.jsonl")
    assert row["step"] == 4 and torch.tensor(row["loss"]).isfinite()
