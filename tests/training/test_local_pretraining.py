"""Naming several objects from image labels: batches, model, loss, and a run from start to card."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fsslib.data.scenes.album import Album
from fsslib.encoders import BACKBONES, build_backbone
from fsslib.encoders.resnet import dilate
from fsslib.encoders.weights import weights_card
from fsslib.training.journal import Journal, loss_curve
from fsslib.training.pretraining.backbone import backbone_state, pretrain_backbone
from fsslib.training.pretraining.backbone_recipe import PretrainConfig
from fsslib.training.pretraining.labelled_batches import LabelledBatches, jitter_colours
from fsslib.training.pretraining.naming import LocalClassifier, named_right, naming_loss

SMALL = {"scenes": 9, "steps": 4, "coarse_steps": 2, "batch_size": 4, "size": 48, "warmup": 1}
SMALL |= {"coarse_size": 32, "validation_scenes": 8, "checkpoint_every": 1, "precision": "fp32"}
SMALL |= {"horizon": 60, "cooldown": 1}
CONFIG = PretrainConfig.preset("scenes", **SMALL)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    root = tmp_path_factory.mktemp("albums")
    return Album("pretrain", 0, 9, 48, root=root).prepare(workers=1)


def test_a_batch_is_a_function_of_its_step(album):
    whole, later = LabelledBatches(album, CONFIG), LabelledBatches(album, CONFIG, begin=3)
    for one, other in zip(whole[3], later[0], strict=True):
        assert torch.equal(one, other)
    with pytest.raises(IndexError):
        later[1]


def test_labels_are_those_of_the_pictures_and_an_epoch_shows_each_once(album):
    plain = {"size_jitter": 0.0, "colour_jitter": 0.0, "coarse_steps": 0}
    config = PretrainConfig.preset("scenes", **SMALL | plain)
    batches, seen = LabelledBatches(album, config), []
    for images, shown in (batches[0], batches[1]):
        for image, row in zip(images, shown, strict=True):
            same = [
                index
                for index in range(len(album))
                for stored in (torch.from_numpy(album.image(index).copy()).permute(2, 0, 1),)
                if torch.equal(image, stored) or torch.equal(image.flip(-1), stored)
            ]
            assert len(same) == 1
            assert (row.nonzero()[:, 0] + 1).tolist() == sorted(album.class_ids(same[0]))
            seen += same
    assert len(seen) == len(set(seen)) == 8  # of nine, two batches of four


def test_sides_vary_in_whole_cells(album):
    config = PretrainConfig.preset("scenes", **SMALL | {"steps": 40, "coarse_steps": 20})
    batches = LabelledBatches(album, config)
    sides = [batches[step][0].shape[-1] for step in range(40)]
    assert set(sides[:20]) <= {24, 32, 40} and set(sides[20:]) <= {40, 48, 56}
    assert len(set(sides[20:])) > 1


def test_colours_vary_by_no_more_than_they_may():
    images = torch.full((5, 3, 4, 4), 100, dtype=torch.uint8)
    jittered = jitter_colours(images, 0.2, np.random.default_rng(0)).float()
    # A flat picture has no contrast: its brightness and nothing else is left.
    assert (jittered - 100).abs().max() <= 20 + 1 and len(jittered.unique()) > 1
    assert torch.equal(jitter_colours(images, 0.0, np.random.default_rng(0)), images)


def test_layer4_with_its_stride_gives_every_other_cell():
    torch.manual_seed(0)
    backbone = BACKBONES["scenes-resnet"](dilated=False).eval()
    model, images = LocalClassifier(backbone), torch.randint(0, 255, (1, 3, 96, 96))
    model.refine()
    with torch.no_grad():
        coarse = backbone(images.to(torch.uint8))
        dilate(backbone.layer4, 4)
        fine = backbone(images.to(torch.uint8))
    assert coarse.layer4.shape[-1] == 6 and fine.layer4.shape[-1] == 12
    torch.testing.assert_close(coarse.layer4, fine.layer4[..., ::2, ::2])
    torch.testing.assert_close(coarse.layer3, fine.layer3)
    assert repr(backbone.layer4) == repr(BACKBONES["scenes-resnet"]().layer4)


def test_a_picture_says_what_its_surest_cell_says():
    torch.manual_seed(0)
    model = LocalClassifier(BACKBONES["scenes-resnet"](dilated=False)).eval()
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        logits, maps = model(images), model.cells(images)
    assert logits.shape == (2, 2, 40)
    for pooled, cells in zip(logits, maps, strict=True):
        most, count = cells.amax((-2, -1)), cells[0, 0].numel()
        assert (pooled >= most).all() and (pooled <= most + math.log(count) + 1e-5).all()


def test_the_loss_is_cross_entropy_with_equal_parts():
    logits = torch.tensor([[[2.0, 1.0, 0.0]], [[0.0, 0.0, 5.0]]])
    shown = torch.tensor([[1.0, 1.0, 0.0]])
    expected = sum(-one[0].log_softmax(0)[:2].mean() for one in logits)
    torch.testing.assert_close(naming_loss(logits, shown), expected)
    single = torch.tensor([[0.0, 1.0, 0.0]])
    plain = F.cross_entropy(logits[0], torch.tensor([1]), label_smoothing=0.1)
    torch.testing.assert_close(naming_loss(logits[:1], single, 0.1), plain)
    assert named_right(logits, shown).tolist() == [True]
    assert named_right(logits.flip(0), shown).tolist() == [False]


class Killed(Exception):
    pass


def test_resumes_exactly_over_the_phases_and_loads(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))

    def kill(line: str) -> None:
        if line.startswith("step 3/"):
            raise Killed

    whole = pretrain_backbone(CONFIG, tmp_path / "whole", report=lambda _: None)
    with pytest.raises(Killed):
        pretrain_backbone(CONFIG, tmp_path / "cut", report=kill)
    torch.manual_seed(5)
    pretrain_backbone(CONFIG, tmp_path / "cut", report=lambda _: None)
    states = [backbone_state(tmp_path / name, CONFIG) for name in ("whole", "cut")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert 0 <= whole["accuracy"] <= 1
    save_file(states[0], tmp_path / "local.safetensors")
    build_backbone("scenes-resnet", tmp_path / "local.safetensors")


def test_it_learns_what_single_cells_show(tmp_path, monkeypatch, album):
    """On nine pictures, whose loss it must bring well below that of a guess at random."""
    monkeypatch.setattr("fsslib.training.pretraining.backbone._album", lambda *_: album)
    changes = {"steps": 50, "batch_size": 8, "coarse_steps": 20, "lr": 1e-3}
    config = PretrainConfig.preset("scenes", **SMALL | changes | {"checkpoint_every": 50})
    pretrain_backbone(config, tmp_path, report=lambda _: None)
    losses = list(loss_curve(tmp_path / "metrics.jsonl").values())
    assert losses[-1] < losses[0] and losses[-1] < 2 * math.log(40)


def test_the_rate_falls_to_zero_from_wherever_the_cosine_has_it():
    whole = PretrainConfig(steps=100, lr=1.0, warmup=10)
    cut = PretrainConfig(steps=60, lr=1.0, warmup=10, horizon=100, cooldown=20)
    assert [cut.lr_at(step) for step in range(41)] == [whole.lr_at(step) for step in range(41)]
    assert cut.lr_at(50) == pytest.approx(whole.lr_at(50) / 2)
    assert cut.lr_at(59) == pytest.approx(whole.lr_at(59) / 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coarse_steps": 9}, "coarse_steps=9, but steps=4"),
        ({"horizon": 3}, "horizon=3: expected steps=4 or more"),
        ({"cooldown": 5}, "cooldown=5, but steps=4"),
        ({"size_jitter": 1.0}, "size_jitter=1.0: expected"),
        ({"lr": 0}, "lr=0.0: expected more than 0"),
        ({"pictures": "many"}, "pictures='many'"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig.preset("scenes", **SMALL | changes)


def test_a_curve_is_the_mean_between_its_points(tmp_path):
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(1, 84):
        journal.write(step, loss=float(step))
    curve = loss_curve(tmp_path / "metrics.jsonl")
    assert len(curve) <= 40 and list(curve)[-1] == 83
    assert curve[83] == pytest.approx(82) and curve[2] == pytest.approx(1.5)


def test_the_card_tells_how_the_embedded_weights_came_about():
    card, settings = weights_card("scenes-resnet"), PretrainConfig.preset("scenes")
    assert card["command"] == "python -m fsslib.runs run pretrain_backbone"
    assert PretrainConfig(**card["settings"]) == settings
    assert card["pictures"] == settings.steps * settings.batch_size
    assert len(card["prototype"]["miou_and_interval_by_fold"]) == 4
