"""The prior mask against its golden numbers, and its limits."""

import torch
from golden import golden

from fsslib.priors import similarity
from fsslib.priors.similarity import best_match, min_max, prior_mask


def test_guided_region_map_equals_the_released_code():
    case = golden("qgnet/guided_region_map")
    query, support, masks = case["query_feat4"], case["supp_feat4"], case["supp_mask"][:, :, 0]
    mean, per_shot = prior_mask(query, support, masks)
    torch.testing.assert_close(mean, case["map_3shot"], atol=1e-5, rtol=0)
    torch.testing.assert_close(per_shot, case["per_shot_maps"], atol=1e-5, rtol=0)
    first, _ = prior_mask(query, support[:, :1], masks[:, :1])
    torch.testing.assert_close(first, case["map_1shot"], atol=1e-5, rtol=0)
    empty, _ = prior_mask(query, support[:, :1], torch.zeros_like(masks[:, :1]))
    assert torch.equal(empty, case["map_empty_mask"])


def test_chunks_do_not_change_the_result(monkeypatch):
    query, support = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 3, 3)
    whole = best_match(query, support)
    monkeypatch.setattr(similarity, "CHUNK_ELEMENTS", 40)
    torch.testing.assert_close(best_match(query, support), whole)
    cosine = torch.einsum(
        "bcq,bcs->bqs",
        torch.nn.functional.normalize(query.flatten(2), dim=1),
        torch.nn.functional.normalize(support.flatten(2), dim=1),
    )
    torch.testing.assert_close(whole.flatten(1), cosine.amax(2), atol=1e-6, rtol=0)


def test_min_max_of_a_constant_map_is_zero():
    assert torch.equal(min_max(torch.full((2, 3, 3), 0.7)), torch.zeros(2, 3, 3))
