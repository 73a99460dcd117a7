"""The refiner: against SSP's own numbers, and against what LFSS's spec measured."""

import pytest
import torch
import torch.nn.functional as F
from golden import golden

from fsslib.priors import self_support
from fsslib.priors.self_support import (
    background_prototypes,
    confident,
    prototype,
    refine_mask,
    refine_pair,
)

CASE = golden("lfss/ssp_self_support")


def softmax_of_prototypes():
    """SSP's first comparison: foreground's share, from which it takes its confident cells."""
    return CASE["out0"].softmax(1)[:, 1]


def test_prototypes_and_similarities_are_ssps():
    features, size = CASE["feat"], CASE["feat"].shape[-2:]
    # SSP resizes its mask with aligned corners and does not cut it.
    mask = F.interpolate(CASE["mask"][None], size, mode="bilinear", align_corners=True)[:, 0]
    for name, chosen in (("fg", mask), ("bg", 1 - mask)):
        actual = prototype(features, chosen)[:, :, None, None]
        torch.testing.assert_close(actual, CASE[f"proto_{name}"], atol=1e-5, rtol=1e-5)
    both = [F.cosine_similarity(features, CASE[f"proto_{n}"], dim=1) for n in ("bg", "fg")]
    torch.testing.assert_close(10 * torch.stack(both, 1), CASE["out0"], atol=1e-4, rtol=1e-4)


def test_background_prototypes_are_ssps():
    confident = softmax_of_prototypes() < 1 - 0.6
    prototypes = background_prototypes(CASE["feat"], confident)
    torch.testing.assert_close(prototypes, CASE["as_bg_local"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["", "_top12"])
def test_confident_cells_are_ssps(kind):
    """Where no cell is sure, the twelve surest speak."""
    share = CASE["out0_weak" if kind else "out0"].softmax(1)
    for name, channel, threshold in (("fg", 1, 0.7), ("bg", 0, 0.6)):
        chosen = confident(share[:, channel], threshold)
        mean = CASE["feat"].movedim(1, -1)[chosen].mean(0)
        torch.testing.assert_close(mean, CASE[f"ss_{name}{kind}"].flatten(), atol=1e-4, rtol=1e-4)
    prototypes = background_prototypes(CASE["feat"], confident(share[:, 0], 0.6))
    torch.testing.assert_close(prototypes, CASE[f"as_bg_local{kind}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", ["ssp", "literal"])
def test_parts_of_the_background_prototypes_make_the_whole(monkeypatch, variant):
    features, chosen = torch.randn(2, 8, 6, 7), torch.rand(2, 6, 7) > 0.5
    whole = background_prototypes(features, chosen, variant)
    monkeypatch.setattr(self_support, "CHUNK_ELEMENTS", 2 * 42 * 5)
    parts = background_prototypes(features, chosen, variant)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


def test_the_literal_formula_adds_cells_where_lengths_differ(scene):
    """Of equal lengths it cannot; of different ones a long neighbour stands for a cell."""
    features, truth = scene
    longer = features * torch.linspace(0.3, 3.0, 20)
    rough = torch.roll(truth, 3, -1)
    mask = refine_mask(longer, rough, prototype(longer, rough), "literal").mask
    assert (mask * (1 - rough)).sum() > 0


def test_comparison_with_mixed_prototypes_is_ssps():
    features = CASE["feat"]
    confident = softmax_of_prototypes() < 1 - 0.6
    foreground = 0.5 * CASE["proto_fg"] + 0.5 * CASE["ss_fg"]
    comparison = refine_mask(
        features, 1 - confident.float(), foreground[:, :, 0, 0], global_weight=0.3
    )
    scores = 10 * torch.stack([comparison.background, comparison.foreground], 1)
    torch.testing.assert_close(scores, CASE["out1"], atol=2e-4, rtol=1e-4)


@pytest.fixture
def scene():
    """(1, 64, 20, 20) features of an object before three kinds of ground, and its true mask."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(4, 64, generator=generator)
    kind = torch.zeros(20, 20, dtype=torch.long)
    kind[:, 10:], kind[12:] = 1, 2
    kind[4:14, 5:15] = 3
    features = centres[kind] + 0.8 * torch.randn(20, 20, 64, generator=generator)
    return features.movedim(-1, 0)[None], (kind == 3).float()[None]


def overlap(mask, truth):
    """IoU of two masks."""
    return ((mask * truth).sum() / (mask + truth).clamp(max=1).sum()).item()


def test_the_refiner_repairs_what_the_literal_formula_cannot(scene):
    """Missing half of the object and holding a strip of ground: one gets both right, the other one
    cannot turn a single background cell into foreground (here, where lengths hardly differ)."""
    features, truth = scene
    rough = truth.clone()
    rough[:, :, 10:] = 0
    rough[:, 2:4, 5:10] = 1
    start = prototype(features, rough)
    ours, literal = (refine_mask(features, rough, start, v).mask for v in ("ssp", "literal"))
    assert overlap(ours, truth) > 0.9 > overlap(rough, truth) + 0.3
    assert (literal * (1 - rough)).sum() == 0


def test_nothing_to_compare_with_leaves_the_mask_alone(scene):
    features, truth = scene
    full = torch.ones_like(truth)
    assert torch.equal(refine_mask(features, full, prototype(features, full)).mask, full)
    against = -prototype(features, truth)
    assert torch.equal(refine_mask(features, truth, against).mask, truth)


def test_a_pair_shares_its_foreground(scene):
    """A query whose mask lies beside the object is repaired by its support."""
    features, truth = scene
    wrong = torch.roll(truth, 6, -1)
    for alpha in (0.5, 1.0):
        _, query = refine_pair(features, truth[:, None], features, wrong, alpha)
        assert overlap(query.mask, truth) > overlap(wrong, truth) + 0.2
    twice = refine_pair(
        features.repeat(2, 1, 1, 1), truth[:, None].repeat(1, 2, 1, 1), features, wrong
    )
    single = refine_pair(features, truth[:, None], features, wrong)
    torch.testing.assert_close(twice[1].mask, single[1].mask)
    assert twice[0].mask.shape == (2, 20, 20)
