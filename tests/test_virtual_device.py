"""The tool itself: what it refuses, what it counts, and that results are the CPU's."""

import pytest
import torch
from torch import nn
from virtual_device import DEVICE, NAME, VirtualDevice, on_device


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
    return nn.Sequential(*layers)


def test_results_and_gradients_are_the_cpus():
    inputs, ours, theirs = torch.rand(2, 3, 6, 6), network(), network()
    theirs(inputs).square().sum().backward()
    with VirtualDevice():
        ours = on_device(ours)
        ours(inputs.to(DEVICE)).square().sum().backward()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert mine.device == mine.grad.device == DEVICE
            assert torch.equal(mine.grad.cpu(), other.grad)


def test_two_devices_do_not_mix_but_numbers_do():
    with VirtualDevice():
        values = torch.rand(3, device=DEVICE)
        assert (values + torch.tensor(1.0)).device == DEVICE
        with pytest.raises(RuntimeError, match=r"add: a CPU tensor \(3,\) mixed in"):
            values + torch.rand(3)
        with pytest.raises(TypeError, match=r"use \.cpu"):
            values.numpy()


WAITS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.any()),
    "int": lambda x: int(x[0]),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 0],
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(),
    "to the device": lambda x: torch.rand(3).to(x.device),
    "new on the device": lambda x: torch.tensor([1, 2], device=x.device),
    "index of the host": lambda x: x[torch.tensor([0, 1])],
}
FREE = {
    "arithmetic": lambda x: (2 * x).clamp(0, 1).sum(),
    "filling": lambda x: x.clone().masked_fill_(x > 0.5, 0),
    "one number by a mask": lambda x: x.clone().__setitem__(x > 0.5, 0),
    "copy ahead": lambda x: torch.rand(3).to(x.device, non_blocking=True),
    "index of the device": lambda x: x[torch.arange(2, device=x.device)],
    "made there": lambda x: torch.zeros(3, device=x.device),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(("what", "count"), [*((w, 1) for w in WAITS), *((f, 0) for f in FREE)])
def test_waits_are_counted(what, count, inference):
    with VirtualDevice() as log, torch.inference_mode(inference):
        (WAITS | FREE)[what](torch.rand(3, device=DEVICE))
        assert log.waits.total() == count, log.table()


def test_lines_of_the_package_are_named():
    from fsslib.layers.losses import segmentation_loss

    with VirtualDevice() as log, pytest.raises(RuntimeError, match=r"at layers/losses.py:\d+"):
        segmentation_loss(torch.rand(1, 2, 4, 4, device=DEVICE), torch.zeros(1, 4, 4).byte())
    assert log.operators


@pytest.mark.parametrize("inference", [False, True])
def test_autocast_follows_its_rules(inference):
    with VirtualDevice(), torch.inference_mode(inference):
        model, x = on_device(network()), torch.rand(2, 3, 6, 6, device=DEVICE)
        with torch.autocast(NAME, torch.bfloat16):
            out = model(x)
            assert out.dtype == torch.bfloat16 and out.softmax(1).dtype == torch.float32
            assert torch.einsum("ij,kj->ik", out.float(), out).dtype == torch.bfloat16
            with torch.autocast(NAME, enabled=False):
                assert model(x).dtype == torch.float32
        assert model(x).dtype == torch.float32
