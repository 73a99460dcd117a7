"""Complementary correlation: what Eqs. 13 to 17 of LFSS say, and what they come down to."""

import torch
import torch.nn.functional as F

from fsslib.layers.correlation import attention_prototype, correlate
from fsslib.layers.prototype import masked_average


def pair(seed=0, size=7, channels=12):
    """Features and masks of two pictures, batch of two."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(2, 2, channels, size, size, generator=generator)
    masks = (torch.rand(2, 2, size, size, generator=generator) > 0.5).float()
    return features[0], masks[0], features[1], masks[1]


def test_the_two_readings_of_the_sum_agree():
    """Attending for every query cell and adding up, or weighing support cells by what they got."""
    query, query_mask, support, support_mask = pair()
    q, s = (x * m[:, None] for x, m in ((query, query_mask), (support, support_mask)))
    q, s = q.flatten(2).mT, s.flatten(2).mT  # (b, n, d)
    attention = (F.normalize(q, dim=-1) @ F.normalize(s, dim=-1).mT).softmax(-1)
    each = attention @ s
    expected = each.sum(1) / support_mask.sum((1, 2))[:, None]
    prototype = attention_prototype(query, query_mask, support, support_mask)
    torch.testing.assert_close(prototype, expected, rtol=1e-4, atol=1e-5)


def test_without_temperature_it_is_nearly_masked_average_pooling():
    query, query_mask, support, support_mask = pair()
    average = masked_average(support, support_mask[:, None])[:, :, 0, 0]
    flat = attention_prototype(query, query_mask, support, support_mask)
    sharp = attention_prototype(query, query_mask, support, support_mask, temperature=50)
    assert (F.cosine_similarity(flat, average) > 0.9999).all()
    assert (F.cosine_similarity(sharp, average) < 0.999).any()


def test_the_region_map_stays_in_its_mask_and_the_full_one_does_not():
    query, query_mask, support, support_mask = pair()
    prototype = attention_prototype(query, query_mask, support, support_mask)
    region, full = correlate(query, query_mask, prototype).unbind(1)
    assert region[query_mask == 0].abs().sum() == 0
    torch.testing.assert_close(region[query_mask == 1], full[query_mask == 1])
    assert full[query_mask == 0].abs().min() > 0


def test_empty_masks_give_zeros_and_no_nan():
    query, query_mask, support, support_mask = pair()
    none = torch.zeros_like(support_mask)
    prototype = attention_prototype(query, query_mask, support, none)
    assert prototype.abs().sum() == 0
    assert correlate(query, query_mask, prototype).abs().sum() == 0
    uniform = attention_prototype(query, torch.zeros_like(query_mask), support, support_mask)
    average = masked_average(support, support_mask[:, None])[:, :, 0, 0]
    torch.testing.assert_close(F.cosine_similarity(uniform, average), torch.ones(2))
