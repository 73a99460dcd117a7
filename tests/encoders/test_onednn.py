"""Linear layers and 1x1 convolutions by oneDNN give what PyTorch gives."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from fsslib.encoders import onednn
from fsslib.encoders.onednn import by_onednn, linear


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Shapes that went to oneDNN, also small ones."""
    shapes, original = [], onednn._convolved

    def counted(inputs, *rest):
        shapes.append(tuple(inputs.shape))
        return original(inputs, *rest)

    monkeypatch.setattr(onednn, "_convolved", counted)
    monkeypatch.setattr(onednn, "FEWEST", 1)
    return shapes


@pytest.mark.parametrize("shape", [(6, 5), (2, 7, 5), (2, 3, 4, 5)])
def test_a_linear_layer_and_the_gradient_of_what_it_reads(shape, calls):
    torch.manual_seed(0)
    inputs, weight, bias = torch.randn(shape, requires_grad=True), torch.randn(4, 5), torch.randn(4)
    results = []
    for function in (F.linear, linear):
        out = function(inputs, weight, bias)
        results.append((out, *torch.autograd.grad(out.square().sum(), inputs)))
    assert_close(*results)
    assert len(calls) == 2, "forward and backward"
    assert_close(linear(inputs.detach().mT.contiguous().mT, weight), F.linear(inputs, weight))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("learns", [False, True])
def test_a_network_computes_what_it_did(layout, learns, calls):
    torch.manual_seed(0)
    layers = [nn.Conv2d(8, 8, 1, stride=2), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 4, 1)]
    plain = nn.Sequential(*layers, nn.Flatten(2), nn.Linear(12, 5)).to(memory_format=layout)
    plain.requires_grad_(learns)
    quick = by_onednn(deepcopy(plain))
    # With 3 channels PyTorch 2.15 alone, on a CPU without AVX-512, frees what is not its own.
    pictures = torch.randn(2, 8, 6, 8).to(memory_format=layout)
    out, expected = quick(pictures), plain(pictures)
    assert_close(out, expected)
    assert len(calls) == (2 if learns else 3), "linear layers that learn are PyTorch's"
    assert plain.state_dict().keys() == quick.state_dict().keys()
    if learns:
        out.square().sum().backward(), expected.square().sum().backward()
        assert_close([p.grad for p in quick.parameters()], [p.grad for p in plain.parameters()])


def test_other_precisions_and_small_inputs_stay_with_pytorch(monkeypatch, calls):
    inputs, weight = torch.ones(2, 3), torch.ones(4, 3)
    assert_close(linear(inputs.double(), weight.double()), torch.full((2, 4), 3.0).double())
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(inputs, weight).dtype == torch.bfloat16
    monkeypatch.setattr(onednn, "FEWEST", 7)
    assert_close(linear(inputs, weight), torch.full((2, 4), 3.0))
    assert not calls
