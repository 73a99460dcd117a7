"""Half precision: what stays in fp32, and that every method runs in bf16 on a CPU."""

import importlib
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from device_cases import build, cases, episodes, learns
from torch import Tensor, nn

import fsslib
from fsslib import fp32
from fsslib.fp32 import in_fp32
from fsslib.layers.attention import match_cells
from fsslib.layers.losses import distillation_loss, segmentation_loss
from fsslib.priors.similarity import prior_mask
from fsslib.training.precision import autocast

HALF = torch.bfloat16


def test_the_map_names_all_that_stays_in_fp32():
    for module in pkgutil.walk_packages(fsslib.__path__, "fsslib."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    text = (Path(fsslib.__file__).parent / "README.md").read_text(encoding="utf-8")
    section = text.partition("## In fp32 whatever autocast says")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w.]+)`", section.partition("Functions")[2]))
    declared = {name for name in fp32.EXACT if "<locals>" not in name}
    assert named == declared, (
        f"missing {sorted(declared - named)}, unknown {sorted(named - declared)}"
    )


def test_tensors_come_whole_and_autocast_is_off_inside():
    seen = []

    @in_fp32
    def product(a: Tensor, others: list, *, c: Tensor, d: Tensor) -> Tensor:
        seen.extend([a, *others, c, d])
        return a @ others[0]

    a, b = torch.ones(2, 2, dtype=HALF), torch.ones(2, 2, dtype=torch.float16)
    with autocast("bf16", "cpu"):
        assert (a @ a).dtype == HALF
        out = product(a, [b, 3], c=a, d=torch.ones(1).double())
    assert out.dtype == torch.float32
    assert [getattr(value, "dtype", None) for value in seen] == [
        *[torch.float32] * 2,
        None,
        torch.float32,
        torch.float64,
    ]


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: prior_mask(x, x.flip(0)[:, None], (x[:, :1] > 0).float())[0],
        lambda x: match_cells(*[x.flatten(2)[:, None].mT] * 3, (x[:, 0] > 0).flatten(1).float())[0],
        lambda x: segmentation_loss(x[:, :2] * 32, (x[:, 0] > 0).byte()),
        lambda x: distillation_loss([x[:, 0], x[:, 1]], (x[:, 0] > 0).byte()),
    ],
)
def test_sensitive_results_do_not_depend_on_autocast(compute):
    torch.manual_seed(0)
    features = torch.randn(2, 6, 7, 9).to(HALF)
    exact = compute(features.float())
    with autocast("bf16", "cpu"):
        result = compute(features)
    assert result.dtype == torch.float32
    assert torch.equal(result, exact)


def test_batchnorm_keeps_its_statistics_in_fp32():
    norm, pictures = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5).to(HALF)
    other = nn.BatchNorm2d(3)
    with autocast("bf16", "cpu"):
        norm(pictures)
    other(pictures.float())
    assert norm.running_var.dtype == torch.float32
    torch.testing.assert_close(norm.running_var, other.running_var, atol=1e-6, rtol=0)


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(ValueError, match="fp16' is for GPUs"):
        autocast("fp16", "cpu")


SMALL = [case for case in cases() if case.shot == 1 or case.method == "lfss"]


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_every_method_runs_in_bf16_on_a_cpu(case):
    """As every half precision does, it changes little: losses agree within a few hundredths."""
    method, batch, losses = build(case), episodes(case, 2), []
    method.eval()
    if learns(case):
        for precision in ("fp32", "bf16"):
            method.zero_grad()
            with autocast(precision, "cpu"):
                terms = method.loss(method(batch), batch)
            losses.append(torch.stack(list(terms.values())).sum())
            losses[-1].backward()
        gradients = [p.grad for p in method.parameters() if p.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)
        torch.testing.assert_close(*losses, atol=0.05, rtol=0.05)
    with torch.inference_mode(), autocast("bf16", "cpu"):
        assert method(replace(batch, query_mask=batch.query_mask)).logits.isfinite().all()
