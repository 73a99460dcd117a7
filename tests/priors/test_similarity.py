"""The prior mask against its golden numbers, and its limits."""

import pytest
import torch
from golden import golden

from fsslib.priors import similarity
from fsslib.priors.similarity import best_match, min_max, prior_mask, similarity_maps


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
    monkeypatch.setattr(similarity, "CPU_CHUNK_ELEMENTS", 40)
    torch.testing.assert_close(best_match(query, support), whole)
    cosine = torch.einsum(
        "bcq,bcs->bqs",
        torch.nn.functional.normalize(query.flatten(2), dim=1),
        torch.nn.functional.normalize(support.flatten(2), dim=1),
    )
    torch.testing.assert_close(whole.flatten(1), cosine.amax(2), atol=1e-6, rtol=0)


def test_min_max_of_a_constant_map_is_zero():
    assert torch.equal(min_max(torch.full((2, 3, 3), 0.7)), torch.zeros(2, 3, 3))


@pytest.mark.parametrize("negative", [False, True])
def test_masked_cells_alone_give_what_all_cells_give(monkeypatch, negative):
    """Also where all likenesses are negative, so that the floor of masked-out cells decides."""
    torch.manual_seed(0)
    query, support = torch.rand(3, 5, 4, 6), torch.rand(3, 2, 5, 4, 6)
    query = -query if negative else query
    masks = torch.zeros(3, 2, 4, 6)
    masks[0, 0, 1:3, 2:4] = 1  # smaller than that of the next picture, which is full
    masks[1, 0] = 1
    masks[2, 1, 0, 0] = 1  # the others are empty
    sparse = [prior_mask(query, support, masks)[1], similarity_maps(query, support, masks)]
    assert sparse[1][1, 0].lt(0).all() == negative, "a full mask has no floor"
    monkeypatch.setattr(similarity, "masked_cells", lambda *_, **__: None)
    dense = [prior_mask(query, support, masks)[1], similarity_maps(query, support, masks)]
    torch.testing.assert_close(sparse, dense, atol=1e-6, rtol=0)
