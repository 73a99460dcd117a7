"""Weights in files: half precision where it reaches, and numbers throughout."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from stand_ins import tiny_backbone
from torch import nn

from fsslib.encoders.storage import as_stored, halved
from fsslib.encoders.weights import WeightsError, load_fitting, read_state, write_weights
from fsslib.methods import build_method
from fsslib.methods.shipped import save_head


def test_what_half_precision_does_not_reach_stays_as_it_is():
    """A variance of BatchNorm beyond 65,504 would come back as infinity."""
    state = {"small": torch.tensor([0.1]), "large": torch.tensor([7e4, 1.0]), "n": torch.tensor(3)}
    stored = halved(state)
    assert {name: value.dtype for name, value in stored.items()} == {
        "small": torch.float16,
        "large": torch.float32,
        "n": torch.int64,
    }
    assert torch.equal(stored["large"], state["large"])


def test_a_network_is_what_its_file_will_hold(tmp_path):
    layer = nn.Linear(3, 2)
    exact = layer.weight.detach().clone()
    write_weights(tmp_path / "layer.safetensors", as_stored(layer).state_dict(), {})
    assert not torch.equal(layer.weight, exact) and layer.weight.dtype == torch.float32
    read = read_state(tmp_path / "layer.safetensors")
    assert all(torch.equal(value, read[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_is_neither_written_nor_loaded(value, tmp_path):
    layer, path = nn.Linear(3, 2), tmp_path / "layer.safetensors"
    broken = {name: each.clone() for name, each in layer.state_dict().items()}
    broken["bias"][1] = value
    with pytest.raises(WeightsError, match=r"layer.safetensors is not written.*\['bias'\]"):
        write_weights(path, broken, {})
    assert not path.exists() and not path.with_suffix(".json").exists()
    with pytest.raises(
        WeightsError, match=r"a file holds values that are not finite in \['bias'\]"
    ):
        load_fitting(layer, broken, "a file")
    assert layer.bias.isfinite().all()


def test_a_broken_head_is_neither_saved_nor_loaded(tmp_path):
    method = build_method("pfenet", tiny_backbone(), "scenes", dim=8)
    save_head(method, tmp_path / "head.safetensors", {})
    state = load_file(tmp_path / "head.safetensors")
    state["classifier.3.bias"][0] = torch.inf
    save_file(state, tmp_path / "broken.safetensors")
    before = method.classifier[3].bias.detach().clone()
    with pytest.raises(WeightsError, match=r"head of PFENet .*\['classifier\.3\.bias'\]"):
        method.load_head_state(read_state(tmp_path / "broken.safetensors"))
    assert torch.equal(method.classifier[3].bias, before)
    with torch.no_grad():
        method.classifier[3].bias.fill_(torch.nan)
    with pytest.raises(WeightsError, match=r"other.safetensors is not written"):
        save_head(method, tmp_path / "other.safetensors", {})
