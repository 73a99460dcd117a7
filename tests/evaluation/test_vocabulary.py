"""NACLIP's protocol against its recorded code: windows, synonyms, threshold; and by names alone."""

import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden, prefixed
from toy import crowded

from fsslib.config import ConfigError
from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.clip_dense import score_map
from fsslib.encoders.clip_loading import load_clip
from fsslib.evaluation.open_vocabulary import Windows, score_pictures, slide
from fsslib.evaluation.vocabulary import Vocabulary, VocabularyConfig, settled
from fsslib.priors.vocabulary import class_probabilities, decide


def recorded_segmenter(case):
    """The recording's stand-in for CLIP: pooled colours of a window, seen from their mean."""
    patch, text = int(case["patch"]), case["text"]

    def dense(part):
        cells = F.avg_pool2d(part, patch)
        cells = cells - part.mean((2, 3), keepdim=True)
        return torch.einsum("bchw,cd->bdhw", cells, case["lift"]).tanh() + 0.1

    def segmenter(part):
        maps = score_map(dense(part), F.normalize(text, dim=-1))
        return F.interpolate(maps, part.shape[-2:], mode="bilinear", align_corners=False)

    return dense, segmenter


@pytest.mark.parametrize("name", ["plain", "synonyms"])
def test_recorded_protocol(name):
    case = prefixed(golden("frontier/openvocab_postprocess"), f"{name}/")
    dense, segmenter = recorded_segmenter(case)
    crop, image = int(case["crop"]), case["image"]
    first = dense(image[..., :crop, :crop]).flatten(2).mT
    assert_near(first, case["first_crop_tokens"][:, 1:], 2e-5)
    assert_near(case["text"].norm(dim=1), torch.ones(len(case["text"])), 1e-5)
    cosines = slide(image, segmenter, Windows(crop=crop, stride=int(case["stride"])))
    assert_near(cosines, case["slide_logits"], 2e-5)
    config = VocabularyConfig(scale=case["logit_scale"].item(), pamr=int(case["pamr"]))
    owners = case["query_idx"].tolist()
    chances = settled(cosines, image, case["out_hw"].tolist(), owners, config)
    assert_near((chances / chances.sum(1, keepdim=True))[0], case["probabilities"], 2e-5)
    prediction = decide(chances, case["prob_thd"].item())
    assert torch.equal(prediction, case["prediction"])


def test_a_class_is_as_likely_as_its_likeliest_name():
    cosines = torch.tensor([0.1, 0.3, 0.2])[None, :, None, None]
    chances = class_probabilities(cosines, [0, 0, 1], scale=10.0)[0, :, 0, 0]
    expected = torch.tensor([1.0, 3.0, 2.0]).softmax(0)[1:]
    assert_near(chances, expected, 1e-6)
    assert decide(chances[None, :, None, None]).item() == 0
    both = torch.tensor([0.2, 0.5])[None, :, None, None]
    assert decide(both).item() == 1 and decide(both, 0.51).item() == 0
    assert decide(both, 0.5).item() == 1  # below, not at
    for wrong in ([0, 1], [0, 2, 2], [1, 1, 1]):
        with pytest.raises(ValueError, match="class_of"):
            class_probabilities(cosines, wrong)


def test_padding_is_halved_and_cut_off_again():
    windows = Windows(crop=None, multiple=56)
    assert windows.padding(50, 60) == (26, 26, 3, 3) and windows.padding(57, 112) == (0, 0, 27, 28)
    image, sizes = torch.randn(1, 3, 50, 61), []

    def segmenter(part):
        sizes.append(tuple(part.shape[-2:]))
        assert not part[..., :3, :].any() and not part[..., :25].any()
        return part

    assert torch.equal(slide(image, segmenter, windows), image)
    assert sizes == [(56, 112)]
    grey = torch.zeros(1, 3, 10, 10, dtype=torch.uint8)
    seen = []
    slide(grey, lambda part: seen.append(part) or part.float(), Windows(crop=None, multiple=12))
    assert seen[0][0, :, 0, 0].tolist() == [123, 117, 104]  # CLIP's mean colour


def test_words_label_pictures_of_any_size():
    benchmark = crowded(images=3, classes=5, size=40)
    clip = load_clip("scenes-clip-vit", attention="naclip")
    small = VocabularyConfig(short=48, crop=48, stride=24, templates="maskclip")
    words = Vocabulary(clip, CLASS_NAMES[:5], small)
    image = torch.randint(256, (3, 33, 71), dtype=torch.uint8)
    label = words.segment(image)
    assert label.shape == (33, 71) and label.min() >= 1 and label.max() <= 5
    scores = score_pictures(words.segment, benchmark, "cpu", background=False)
    assert 0 <= scores["miou"] <= 1 and scores["pictures"] == 3
    strict = VocabularyConfig.preset("scenes", threshold=1.0)
    assert not Vocabulary(clip, CLASS_NAMES[:5], strict).segment(image).any()
    grounds = Vocabulary(clip, CLASS_NAMES[:5], small, background=("grass", "tiles"))
    assert grounds.probabilities(image).shape == (6, 33, 71)
    whole = VocabularyConfig(short=48, crop=None, pamr=1, dilations=(2,), templates="maskclip")
    two = Vocabulary(clip, [f"{CLASS_NAMES[0]}, {CLASS_NAMES[1]}", CLASS_NAMES[2]], whole)
    assert two.class_of == [0, 0, 1] and two.probabilities(image).shape == (2, 33, 71)
    for wrong in ({"short": 0}, {"threshold": 2}, {"dilations": (0,)}):
        with pytest.raises((ConfigError, ValueError)):
            VocabularyConfig(**wrong)
