"""Schedules against the released code; optimisers by name."""

import pytest
import torch
from golden import golden
from torch import nn

from fsslib.training.optimizers import build_optimizer
from fsslib.training.recipe import TrainConfig
from fsslib.training.schedule import learning_rate, poly


@pytest.mark.parametrize("name", ["qgnet", "pi_clip"])
def test_poly_equals_the_released_code(name):
    case = golden(f"{name}/poly_lr")
    base = float(case["base_lr"])
    if name == "qgnet":
        steps, total = case["iters"].tolist(), int(case["max_iter"])
        plain, scaled, warm = "index_split0", "train_py_call", "warmup"
    else:
        steps, total = list(range(1, 101)), 100
        plain, scaled, warm = "split_0", "split_m1", "split_m1_warm20"
    for row, step in enumerate(steps):
        lr = learning_rate(base, "poly", step, total)
        assert case[plain][row, 0].item() == pytest.approx(lr, abs=1e-9)
        # What the config calls 0.0025 is 0.025 in every group: the factor of ten.
        assert case[scaled][row].tolist() == pytest.approx([10 * lr] * case[scaled].shape[1])
        if name == "pi_clip":
            warmed = 10 * base * poly(step, total, warmup=20)
            assert case[warm][row, 0].item() == pytest.approx(warmed, abs=1e-9)


def test_other_schedules_begin_and_end_where_they_should():
    assert learning_rate(1.0, "constant", 50, 100) == 1.0
    rates = [learning_rate(1.0, "step", step, 100) for step in (59, 60, 80)]
    assert rates == pytest.approx([1, 0.1, 0.01])
    rates = [learning_rate(1.0, "cosine", step, 100, warmup=10) for step in (0, 9, 10, 55, 100)]
    assert rates == pytest.approx([0.1, 1, 1, 0.5, 0], abs=1e-6)
    with pytest.raises(ValueError, match="schedule='poli'"):
        learning_rate(1.0, "poli", 0, 1)


def test_optimisers():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    sgd = build_optimizer("sgd", layer.parameters(), 0.1, 1e-4)
    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == 0.9
    assert len(sgd.param_groups[0]["params"]) == 1
    assert isinstance(build_optimizer("adamw", layer.parameters(), 0.1, 0), torch.optim.AdamW)
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer("sgd", [], 0.1, 0)
    with pytest.raises(ValueError, match="optimizer='lion'"):
        build_optimizer("lion", layer.parameters(), 0.1, 0)


def test_a_slow_part_has_a_factor_of_its_own():
    fast, slow = nn.Linear(2, 2), nn.Linear(2, 2)
    both = [*fast.parameters(), *slow.parameters()]
    optimizer = build_optimizer("adamw", both, 1e-3, 0, slow.parameters(), 0.1)
    groups = {group["factor"]: group["params"] for group in optimizer.param_groups}
    assert {id(p) for p in groups[1.0]} == {id(p) for p in fast.parameters()}
    assert {id(p) for p in groups[0.1]} == {id(p) for p in slow.parameters()}
    (alone,) = build_optimizer("sgd", both, 1e-3, 0, slow.parameters(), 1.0).param_groups
    assert len(alone["params"]) == 4


def test_every_recipe_says_the_rate_in_force():
    """What the released configs say, times the ten that their schedule multiplies by."""
    stated = {"official": 0.0025, "coco": 0.02, "bam": 0.005, "hdmnet": 1e-4, "base": 2.5e-4}
    for name, rate in stated.items():
        recipe = TrainConfig.preset(name)
        assert recipe.lr == pytest.approx(10 * rate)
        assert recipe.slow == (0.1 if name in ("hdmnet", "base") else 1.0)
    assert TrainConfig.preset("paper").lr == pytest.approx(0.0025)
    assert TrainConfig.preset("pi_clip_paper").steps == 30 * (5953 // 4)
