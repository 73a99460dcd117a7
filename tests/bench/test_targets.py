"""The list of targets reads what is published, and its naive prior is the prior."""

import sys
from pathlib import Path

import pytest
import torch

from fsslib.priors.similarity import prior_mask

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def targets():
    sys.path.insert(0, str(FOLDER))
    try:
        import targets

        yield targets
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("targets", None)


def test_reached_is_at_most_or_at_least(targets):
    assert targets.Target("peak", 0.2, 0.25).reached
    assert not targets.Target("peak", 0.3, 0.25).reached
    assert targets.Target("gain", 6, 5, more=True).reached
    assert not targets.Target("gain", 4, 5, more=True).reached


def test_the_naive_prior_is_the_prior(targets):
    torch.manual_seed(0)
    query, supports = torch.rand(1, 8, 5, 5), torch.rand(1, 2, 8, 5, 5)
    masks = torch.zeros(1, 2, 5, 5)
    masks[..., 1:3, 2:4] = 1
    expected, _ = prior_mask(query, supports, masks)
    actual = targets.naive_prior(query, supports, masks)
    torch.testing.assert_close(actual.view(1, 1, 5, 5), expected, atol=1e-5, rtol=0)


def test_every_target_is_read_from_what_is_published(targets):
    read = [*targets._forwards(), *targets._cached(), *targets._loading()]
    assert len(read) >= 8 and all(target.value > 0 for target in read)
