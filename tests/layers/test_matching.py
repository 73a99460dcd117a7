"""BAM's ensemble and HDMNet's decoder against recordings of their code."""

import pytest
import torch
from golden import assert_near, golden, prefixed

from fsslib.interop.official import load_official
from fsslib.layers import attention
from fsslib.layers.attention import MultiHeadAttention, as_tokens
from fsslib.layers.ensemble import (
    Ensemble,
    ShotWeights,
    gram,
    known_objects,
    scene_difference,
    shot_weights,
)
from fsslib.layers.losses import distillation_loss
from fsslib.layers.matching import MatchingDecoder
from fsslib.layers.pyramid import ASPP, BaseHead, PyramidPooling


def test_gram_and_psi_equal_the_released_code():
    case = golden("pi_clip/bam_psi")
    assert_near(gram(case["q"]), case["gram_q"], 1e-5)
    assert_near(scene_difference(case["q"], case["s"]), case["psi"], 1e-5)


@pytest.mark.parametrize(("unsort", "name"), [("fixed", "BAM"), ("official", "HDMNet_PICLIP")])
def test_shot_weights_with_and_without_the_wrong_gather(unsort, name):
    case = golden("pi_clip/bam_psi")
    weights = ShotWeights(5, hidden=2, unsort=unsort)
    names = {"0.weight": "w0", "0.bias": "b0", "2.weight": "w2", "2.bias": "b2"}
    weights.network.load_state_dict({k: case[f"kshot_{v}"] for k, v in names.items()})
    assert_near(
        weights(case["kshot_psi"][..., 0, 0]), case[f"kshot_weight_{name}"][..., 0, 0], 1e-5
    )


def test_fixed_shot_weights_follow_their_shots():
    torch.manual_seed(0)
    psi, order = torch.rand(2, 4), torch.tensor([2, 0, 3, 1])
    fixed, official = ShotWeights(4), ShotWeights(4, unsort="official")
    assert_near(fixed(psi)[:, order], fixed(psi[:, order]), 1e-6)
    assert_near(official(psi), official(psi[:, order]), 1e-6)  # which is the bug
    assert shot_weights(1)(torch.rand(3, 1)).eq(1).all()


def test_ensemble_starts_as_the_meta_learner():
    meta, known = torch.rand(2, 2, 3, 4).softmax(1), torch.rand(2, 3, 4)
    ensemble = Ensemble()
    assert_near(ensemble(meta, torch.rand(2), known), meta, 1e-6)
    with torch.no_grad():
        ensemble.cls_merge.weight[0, 1] = 1
    assert_near(ensemble(meta, torch.rand(2), known)[:, 0], meta[:, 0] + known, 1e-6)


def test_the_episodes_own_class_is_not_among_the_known():
    logits = torch.randn(2, 5, 3, 3)
    chances = logits.softmax(1)
    known = known_objects(logits, torch.tensor([0, 2]))
    assert_near(known[0], chances[0, 1:].sum(0), 1e-6)
    assert_near(known[1], chances[1, [1, 3, 4]].sum(0), 1e-6)


def test_two_kinds_of_attention_equal_the_released_code():
    case = golden("pi_clip/masked_attention")
    module = MultiHeadAttention(8, int(case["heads"]))
    module.load_state_dict(prefixed(case, "w/"))
    mask = case["mask"][:, 0].float()
    mixed, correlation = module.match(case["q"], case["kv"], mask)
    assert_near(mixed, case["cross_out"], 1e-5)
    assert_near(correlation, case["cross_weight"], 1e-5)
    assert not correlation[1].any(), "its support mask is empty"
    assert_near(module(case["q"], case["kv"]), case["self_out"], 1e-5)


def test_matching_reads_no_cell_outside_of_the_masks(monkeypatch):
    torch.manual_seed(0)
    module, query = MultiHeadAttention(8, 2), torch.randn(3, 6, 8)
    mask = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]).float()
    support = torch.randn(3, 5, 8, requires_grad=True)

    def result() -> list[torch.Tensor]:
        out = module.match(query, support, mask)
        return [*out, *torch.autograd.grad(sum(part.square().sum() for part in out), support)]

    sparse = result()
    assert sparse[2][mask == 1].abs().sum(1).all() and not sparse[2][mask == 0].any()
    monkeypatch.setattr(attention, "masked_cells", lambda _: None)
    torch.testing.assert_close(sparse, result(), atol=1e-6, rtol=1e-5)


def decoder_case():
    case = golden("pi_clip/hdmnet_decoder_1shot")
    decoder = MatchingDecoder(dim=8, maps=2)
    load_official(decoder, prefixed(case, "w/"))
    case["mask"] = case["mask"].float()
    return case, decoder.eval()


def test_decoder_equals_the_released_code():
    case, decoder = decoder_case()
    logits, correlations = decoder(
        case["query"], case["support"][:, None], case["mask"], case["similarity"]
    )
    assert_near(logits, case["logits"], 1e-4)
    for level, correlation in enumerate(correlations):
        assert_near(correlation, case[f"corr_weight{level}"], 1e-4)


def test_every_step_of_the_decoder_equals_the_released_code():
    case, decoder = decoder_case()
    query, support = case["query"], case["support"]
    for number, level in enumerate(decoder.levels):
        tokens, grid = level.embed(query)
        assert_near(tokens, case[f"down{number}_0_query"], 1e-4)
        for place, block in enumerate(level.blocks, start=1):
            tokens = block(tokens, grid)
            assert_near(tokens, case[f"down{number}_{place}_query"], 1e-4)
        query, support = level(query), level(support)
        assert_near(as_tokens(query), case[f"down{number}_3_query"], 1e-4)
        assert_near(as_tokens(support), case[f"down{number}_3_supp"], 1e-4)
        matched, _ = decoder.meet(number, query, support, case["mask"], 1)
        assert_near(as_tokens(matched), case[f"match{number}"], 1e-4)


def test_decoder_batchnorm_never_normalises():
    _, decoder = decoder_case()
    norm = decoder.merge[0][1]
    before = norm.running_mean.clone()
    decoder.train()
    assert decoder.training and not norm.training
    decoder(*(torch.randn(1, *s) for s in ((8, 9, 9), (2, 8, 9, 9), (2, 33, 33), (2, 9, 9))))
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.requires_grad


def test_distillation_equals_the_released_code():
    case = golden("pi_clip/distillation")
    maps = [case[f"w_{name}"].requires_grad_() for name in ("coarse", "mid", "fine")]
    total = distillation_loss(maps, case["y"].to(torch.uint8))
    assert_near(total, case["total_div3"], 1e-5)
    assert_near(
        3 * distillation_loss(maps[:1], case["y"].to(torch.uint8)), 3 * case["losses"][0], 1e-5
    )
    total.backward()
    alone = distillation_loss(maps[:1], case["y"].to(torch.uint8))
    (taught,) = torch.autograd.grad(alone, maps[:1])
    assert_near(3 * maps[0].grad, taught, 1e-6)  # a teacher gets no gradient from its student


def test_pyramid_pooling_and_aspp_shapes():
    features = torch.randn(2, 8, 7, 9)
    assert PyramidPooling(8)(features).shape == (2, 16, 7, 9)
    assert_near(PyramidPooling(8)(features)[:, :8], features, 0)
    assert ASPP(8, (1, 2))(features).shape == (2, 32, 7, 9)
    head = BaseHead(8, classes=5, dim=6).eval()
    assert head.classes == 5
    assert_near(head(features), head.classify(head.features(features)), 0)
    with pytest.raises(ValueError, match="channels=6 cannot be shared by 4 bins"):
        PyramidPooling(6)
