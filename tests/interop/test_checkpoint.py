"""State dicts are found in whatever a training wrapped them."""

import pytest
import torch

from fsslib.encoders import WeightsError
from fsslib.interop.checkpoint import read_checkpoint

STATE = {"layer.weight": torch.ones(2, 3), "layer.steps": torch.tensor(4)}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1}]}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in STATE.items()}


@pytest.mark.parametrize(
    ("content", "path", "prefix"),
    [
        (STATE, (), ""),
        (prefixed("module."), (), "module."),
        ({"epoch": 3, "state_dict": prefixed("module."), "optimizer": OPTIMIZER},
         ("state_dict",), "module."),
        ({"model": STATE, "optimizer": OPTIMIZER, "best": torch.tensor(0.5)}, ("model",), ""),
        ({"epoch": 1, "model_state_dict": STATE}, ("model_state_dict",), ""),
        ({"net": {"state_dict": prefixed("module.net.")}}, ("net", "state_dict"), "module.net."),
        ({"saved": {"model": {"state_dict": STATE}}}, ("saved", "model", "state_dict"), ""),
        (prefixed("_orig_mod.") | {"n_averaged": torch.tensor(7)}, (), "_orig_mod."),
        ({"ema": STATE, "step": 5}, ("ema",), ""),
    ],
)  # fmt: skip
def test_tensors_are_found_under_usual_names(content, path, prefix):
    held = read_checkpoint(content)
    assert held.state.keys() == STATE.keys()
    assert torch.equal(held.state["layer.weight"], STATE["layer.weight"])
    assert (held.path, held.prefix, held.averaged) == (path, prefix, "")


def test_an_average_beside_the_weights_is_named_and_not_read():
    average = {key: value * 0 for key, value in STATE.items()}
    held = read_checkpoint({"model": STATE, "model_ema": average})
    assert held.averaged == "model_ema"
    assert held.state["layer.weight"].sum() == 6
    assert "running average" in held.wrapping


def test_a_file_is_read_with_or_without_its_values(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {"a": torch.ones(2, dtype=torch.float16)}}, path)
    held = read_checkpoint(path)
    assert held.origin == "model.pth"
    assert held.state["a"].dtype == torch.float32
    assert read_checkpoint(path, shapes_only=True).state["a"].is_meta


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"optimizer": OPTIMIZER}, {"model": {}}])
def test_without_tensors_it_is_refused(content):
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read_checkpoint(content)
