"""Sliding windows: every pixel is seen, overlaps are averaged, sizes are the released code's."""

import pytest
import torch
from toy import crowded

from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.clip_loading import load_clip
from fsslib.evaluation.open_vocabulary import Windows, open_vocabulary, segment, slide
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods.clip_dinoiser import ClipDinoiser, DinoiserConfig


def test_sizes_and_starts():
    windows = Windows()
    assert windows.size(375, 500) == (448, 597)
    assert windows.size(100, 1000) == (205, 2048)  # the cap
    assert windows.starts(448) == [0] and windows.starts(449) == [0, 1]
    assert windows.starts(672) == [0, 224] and windows.starts(700) == [0, 224, 252]


def test_overlaps_are_averaged():
    images = torch.randint(256, (1, 3, 6, 11), dtype=torch.uint8)
    windows = Windows(short=6, crop=6, stride=3)
    seen = []

    def segmenter(part):
        seen.append(part.shape)
        return torch.full((1, 2, 6, 6), float(len(seen)))

    result = slide(images, segmenter, windows)
    assert len(seen) == 3 and set(seen) == {torch.Size([1, 3, 6, 6])}  # from 0, 3 and 5
    assert result[0, 0, 0].tolist() == [1, 1, 1, 1.5, 1.5, 2, 2.5, 2.5, 2.5, 3, 3]


def test_a_window_that_covers_all_is_the_segmenter_itself():
    images = torch.randint(256, (3, 20, 20), dtype=torch.uint8)
    weights = torch.randn(4, 3)

    def segmenter(part):
        return torch.einsum("bchw,nc->bnhw", part.float() / 255, weights).softmax(1)

    labels = segment(images, segmenter, Windows(20, 20, 10))
    assert torch.equal(labels, segmenter(images[None])[0].argmax(0).byte())
    local = segment(images, segmenter, Windows(20, 8, 4))  # it looks at single pixels only
    assert torch.equal(local, labels)


@pytest.mark.parametrize("background", [True, False])
def test_all_names_of_a_benchmark_compete(background):
    benchmark = crowded(images=4, classes=5, size=40)
    benchmark.class_names = tuple(CLASS_NAMES[:5])
    torch.manual_seed(0)
    model = ClipDinoiser(
        load_clip("scenes-clip-vit"), DinoiserHeads(128, 8), DinoiserConfig.preset("scenes")
    )
    windows = Windows(48, 48, 24)
    scores = open_vocabulary(model, benchmark, 3, background, windows=windows)
    assert 0 <= scores["miou"] <= 1 and scores["pictures"] == 3
    assert scores["refined"] is background and set(scores["per_class"]) == {1, 2, 3, 4, 5}
