"""Binary methods on N-way episodes: each class against the rest, then the arg max."""

import pytest
import torch
from stand_ins import random_episodes, tiny_backbone

from fsslib.evaluation.meter import Meter
from fsslib.methods import build_method
from fsslib.methods.n_way import OneVersusRest, any_way, one_way_episodes


def small(name: str = "pfenet"):
    torch.manual_seed(0)
    return build_method(name, tiny_backbone(), "scenes", **({"dim": 8} if name == "pfenet" else {}))


def test_every_class_is_asked_with_its_own_supports():
    episodes = random_episodes(batch=2, shot=2, size=33, way=3)
    flat = one_way_episodes(episodes)
    assert (flat.way, flat.shot, len(flat)) == (1, 2, 6)
    for b in range(2):
        for n in range(3):
            row = 3 * b + n
            assert torch.equal(flat.query_image[row], episodes.query_image[b])
            assert torch.equal(flat.support_masks[row, 0], episodes.support_masks[b, n])
            assert flat.class_names[row] == (episodes.class_names[b][n],)
            mask = episodes.query_mask[b]
            assert torch.equal(flat.query_mask[row] == 1, mask == n + 1)
            assert torch.equal(flat.query_mask[row] == 255, mask == 255)
    assert flat.class_ids.tolist() == [[1], [2], [3]] * 2


@pytest.mark.parametrize("name", ["pfenet", "prototype", "asgnet"])
def test_the_farthest_above_its_background_wins(name):
    episodes, method = random_episodes(batch=2, shot=1, size=33, way=3), small(name).eval()
    with torch.no_grad():
        combined = OneVersusRest(method)(episodes)
        single = method(one_way_episodes(episodes))
    assert combined.logits.shape == (2, 4, 33, 33)
    margin = (single.logits[:, 1] - single.logits[:, 0]).view(2, 3, 33, 33)
    best, index = margin.max(1)
    expected = torch.where(best > 0, index + 1, 0).byte()
    assert torch.equal(combined.mask, expected)
    for key, value in combined.maps.items():
        assert value.shape[:2] == (2, 3), key


def test_one_way_episodes_go_through_as_they_are():
    episodes, method = random_episodes(batch=2, shot=1, size=33), small().eval()
    assert torch.equal(OneVersusRest(method)(episodes).logits, method(episodes).logits)


def test_the_wrapper_hands_heads_through_and_trains_one_way():
    method = small()
    wrapped = OneVersusRest(method)
    assert wrapped.head_state().keys() == method.head_state().keys()
    wrapped.load_head_state({k: v + 1 for k, v in method.head_state().items()})
    episodes = random_episodes(batch=1, shot=1, size=33)
    assert wrapped.loss(wrapped.train()(episodes), episodes)["main"].requires_grad
    two = random_episodes(batch=1, shot=1, size=33, way=2)
    with pytest.raises(ValueError, match="learns from 1-way episodes, got 2-way"):
        wrapped.loss(wrapped(two), two)


def test_methods_that_tell_classes_apart_are_left_alone():
    panet, pfenet = small("panet"), small()
    assert any_way(panet, 3) is panet and any_way(pfenet, 1) is pfenet
    assert isinstance(any_way(pfenet, 2), OneVersusRest)


def test_classes_absent_from_the_query_cost():
    """Two episodes of classes 4 and 7; 7 is never there, but is called once."""
    target = torch.tensor([[1, 1, 0, 0]], dtype=torch.uint8)
    meter = Meter()
    meter.add(torch.tensor([[1, 1, 0, 0]], dtype=torch.uint8), target, (4, 7))
    assert meter.miou() == 1.0 and meter.per_class()[7]["union"] == 0
    meter.add(torch.tensor([[1, 2, 2, 0]], dtype=torch.uint8), target, (4, 7))
    assert meter.per_class()[7] == {"intersection": 0, "union": 2, "target": 0, "episodes": 2}
    assert meter.miou() == pytest.approx((3 / 4 + 0) / 2)
    assert meter.miou_with_background() == pytest.approx((3 / 4 + 0 + 3 / 4) / 3)
    assert meter.fb_iou() == pytest.approx((4 / 5 + 3 / 4) / 2)  # foreground merged
