"""The prototype probe, on features whose answer is known."""

import pytest
import torch
from torch import nn

from fsslib.encoders.stages import StageBackbone, Stages
from fsslib.evaluation.probe import PrototypeProbe


class Seen(StageBackbone):
    """Features are the colours themselves, at a fourth of the size; or nothing but noise."""

    def __init__(self, noise: bool) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, images):
        cells = nn.functional.avg_pool2d(images.float(), 4)
        if self.noise:
            cells = torch.rand(cells.shape, generator=torch.Generator().manual_seed(0)) + 5
        return Stages(cells, cells, cells)


def coloured(count=8, size=32):
    """Two classes, red and blue, in quarters of green pictures."""
    images = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    labels = torch.zeros(count, size, size, dtype=torch.uint8)
    images[:, 1] = 200
    for b in range(count):
        for class_id, corner in ((1, (0, 0)), (2, (16, 16 if b % 2 else 0))):
            part = (slice(corner[0], corner[0] + 16), slice(corner[1], corner[1] + 16))
            labels[b][part] = class_id
            images[b][:, part[0], part[1]] = 0
            images[b, 2 * class_id - 2][part] = 200
    labels[:, 0] = 255
    return images, labels


def test_features_that_tell_classes_apart_score_one_and_noise_does_not():
    probe = PrototypeProbe(*coloured(), classes=2, batch_size=3)
    scores = probe(Seen(noise=False))
    assert scores["prototype_miou"] > 0.95 and scores["prototype_auroc"] > 0.97
    noise = probe(Seen(noise=True))
    assert noise["prototype_miou"] < 0.6 and abs(noise["prototype_auroc"] - 0.5) < 0.15


def test_a_common_offset_of_all_features_does_not_matter():
    class Shifted(Seen):
        def forward(self, images):
            return Stages(*(part + 1e4 for part in super().forward(images)))

    probe = PrototypeProbe(*coloured(), classes=2)
    assert probe(Shifted(False))["prototype_miou"] > 0.95


def test_another_layer_can_be_read():
    class Deep(Seen):
        def forward(self, images):
            seen = super().forward(images)
            return Stages(seen.layer2, seen.layer3, torch.rand_like(seen.layer4))

    probe = PrototypeProbe(*coloured(), classes=2)
    assert probe(Deep(False), "layer2")["prototype_miou"] > 0.95
    assert probe(Deep(False))["prototype_miou"] < 0.6


def test_scenes_are_held_out_and_the_same_each_time():
    first, again = (PrototypeProbe.of_scenes(3, 32) for _ in range(2))
    assert torch.equal(first.images, again.images) and first.classes == 40
    with pytest.raises(ValueError, match="two at least"):
        PrototypeProbe.of_scenes(1, 32)
