"""`predict` on pictures of any size."""

import numpy as np
import pytest
import torch
from stand_ins import tiny_backbone

from fsslib.methods import build_method
from fsslib.methods.bam import BAM, BAMConfig
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.predict import predict

RNG = np.random.default_rng(0)


def picture(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_predicts_at_the_query_size_and_leaves_the_method_as_it_was():
    method = build_method("pfenet", tiny_backbone(), "scenes", dim=8).train()
    masks = [np.eye(40, 60, dtype=np.uint8), np.ones((50, 30), np.uint8)]
    supports = [picture(40, 60), picture(50, 30)]
    result = predict(picture(71, 45), supports, masks, method, image_size=65)
    assert result.shape == (71, 45) and set(np.unique(result)) <= {0, 1}
    assert method.training


def test_a_mask_that_says_255_for_the_object_is_refused():
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5] = 255
    with pytest.raises(ValueError, match=r"support 0: mask holds \[0, 255\] and no 1.*mask > 0"):
        predict(picture(8, 8), [picture(8, 8)], [mask], build_method("prototype", tiny_backbone()))


def test_what_is_asked_for_is_no_base_class(monkeypatch):
    backbone = tiny_backbone()
    base = BaseLearner(backbone, (1, 2, 3), BaseLearnerConfig.preset("scenes", dim=16))
    method, seen = BAM(backbone, base, BAMConfig.preset("scenes", dim=8)), []
    usual = method.own_class
    monkeypatch.setattr(
        method, "own_class", lambda *arguments: seen.append(usual(*arguments)) or seen[-1]
    )
    mask = np.ones((40, 40), np.uint8)
    both = [[picture(40, 40)], [picture(40, 40)]]
    predict(picture(40, 40), both, [[mask], [mask]], method, ["a", "b"], image_size=65)
    assert seen and not any(own.any() for own in seen)


def test_finds_what_has_the_colour_of_the_support():
    red = np.zeros((64, 64, 3), np.uint8)
    red[8:40, 8:40, 0] = 255
    mask = (red[..., 0] > 0).astype(np.uint8)
    query = np.roll(red, 20, axis=1)
    prediction = predict(
        query, [red], [mask], build_method("prototype", tiny_backbone()), image_size=65
    )
    truth = np.roll(mask, 20, axis=1)
    assert (prediction & truth).sum() / (prediction | truth).sum() > 0.5


def test_several_classes_are_told_apart_also_by_binary_methods():
    red, green = np.zeros((2, 64, 64, 3), np.uint8)
    red[8:40, 4:30, 0], green[20:60, 34:60, 1] = 255, 255
    supports, masks = [[red], [green]], [[(p.max(-1) > 0).astype(np.uint8)] for p in (red, green)]
    query = red + green
    method = build_method("prototype", tiny_backbone())
    prediction = predict(query, supports, masks, method, ["red", "green"], image_size=65)
    truth = masks[0][0] + 2 * masks[1][0]
    for label in (1, 2):
        hit = (prediction == label) & (truth == label)
        assert hit.sum() / ((prediction == label) | (truth == label)).sum() > 0.5
    with pytest.raises(ValueError, match="2 class names, 1 lists"):
        predict(query, supports[:1], masks[:1], method, ["red", "green"])
    with pytest.raises(ValueError, match="equally many"):
        predict(query, [[red, red], [green]], [masks[0] * 2, masks[1]], method, ["red", "green"])


class Reads(FewShotSegmenter):
    """Finds what is red; nothing of it is learned."""

    def forward(self, episodes):
        red = episodes.query_image[:, :1].float() - 127
        return Prediction(torch.cat([-red, red], 1), {})

    def loss(self, prediction, episodes):
        raise NotImplementedError


@pytest.mark.parametrize(("height", "width"), [(540, 960), (405, 500), (200, 1000), (96, 96)])
def test_what_is_found_lies_where_it_was(height, width):
    truth = np.zeros((height, width), np.uint8)
    truth[height // 2 : height * 9 // 10, width // 2 : width * 3 // 4] = 1
    query = np.zeros((height, width, 3), np.uint8)
    query[..., 0] = 255 * truth
    prediction = predict(query, [query], [truth], Reads(), image_size=97)
    overlap = (prediction & truth).sum() / (prediction | truth).sum()
    assert overlap > 0.9, "the padding is cut off before the way back"


def test_an_object_that_vanishes_at_the_networks_size_is_refused():
    mask = np.zeros((900, 900), np.uint8)
    mask[3:6, 3:6] = 1
    with pytest.raises(ValueError, match="nothing of the 9 object pixels is left at image_size=97"):
        predict(picture(64, 64), [picture(900, 900)], [mask], Reads())


def test_a_method_that_fails_is_left_as_it_was():
    method = build_method("pfenet", tiny_backbone(), "scenes", dim=8).train()
    method.forward = None
    mask = np.ones((40, 40), np.uint8)
    with pytest.raises(TypeError, match="not callable"):
        predict(picture(40, 40), [picture(40, 40)], [mask], method)
    assert method.training
    with pytest.raises(TypeError, match="method='pfenet': give a segmenter"):
        predict(picture(40, 40), [picture(40, 40)], [mask], "pfenet")
    with pytest.raises(ValueError, match="image_size=8: expected 33 to 8192"):
        predict(picture(40, 40), [picture(40, 40)], [mask], method, image_size=8)


@pytest.mark.parametrize(
    ("supports", "masks", "message"),
    [
        ([], [], "0 supports"),
        (None, [], "no supports or no masks"),
        (picture(8, 8), np.zeros((8, 8), np.uint8), r"\(8, 3\).*and supports and masks as lists"),
        ([picture(8, 8)], [], "1 supports and 0 masks"),
        ([picture(8, 8)], [np.zeros((4, 4), np.uint8)], "differ in size"),
        ([picture(8, 8) / 255], [np.zeros((8, 8), np.uint8)], "expected uint8"),
        ([picture(8, 8)], [np.full((8, 8), 7, np.uint8)], r"mask holds \[7\]"),
    ],
)
def test_input_that_does_not_fit_is_named(supports, masks, message):
    method = build_method("prototype", tiny_backbone())
    with pytest.raises(ValueError, match=message):
        predict(picture(16, 16), supports, masks, method)
