"""Heads from two teachers: losses against the released code, floor, schedule, exact going on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden import golden, prefixed
from open_clip import CLIP
from PIL import Image
from timm.models import VisionTransformer

from fsslib.data.scenes.album import Album
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.dino import Dino, small_dino
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods.clip_dinoiser import DinoiserConfig
from fsslib.methods.clip_dinoiser.teachers import DinoClip, Teachers
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.clip_dinoiser import (
    build_heads_optimizer,
    correlation_floor,
    correlation_loss,
    head_losses,
    targets,
    train_heads,
)
from fsslib.training.pretraining.clip_dinoiser_recipe import DinoiserTraining
from fsslib.training.pretraining.crops import Crops, PictureFolder

SMALL = DinoiserTraining.preset(
    "scenes", steps=6, batch_size=4, drop_at=4, size=32, pictures=20, channels=8, checkpoint_every=3
)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return Album("test", 0, 20, 32, tmp_path_factory.mktemp("album")).prepare(workers=1)


def teachers() -> Teachers:
    torch.manual_seed(0)
    return Teachers(small_dino().freeze())


def test_losses_gradients_and_floor_are_the_released_codes():
    case = golden("dinoiser/10_losses")
    model = CLIP(
        16,
        {"layers": 4, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
        {"width": 32, "heads": 2, "layers": 1},
    )
    model.visual.load_state_dict(prefixed(golden("dinoiser/03_maskclip_tiny"), "sd.visual."))
    encoder = ClipViT(model, tokenizer=list, name="tiny").freeze()
    heads = DinoiserHeads(32, 8)
    heads.load_state_dict(prefixed(case, "sd."))
    mean, std = encoder.clip_statistics
    inputs = (case["image01"] - mean) / std
    tapped, _ = encoder.tapped_and_dense(inputs, normalised=True)
    losses = head_losses(heads, tapped, case["dino_target"], case["found_target"])
    assert losses["correlation"].item() == pytest.approx(case["dino_loss"].item(), abs=1e-5)
    assert losses["saliency"].item() == pytest.approx(case["found_loss"].item(), abs=1e-5)
    sum(losses.values()).backward()
    for name, parameter in heads.named_parameters():
        torch.testing.assert_close(parameter.grad, case[f"grad.{name}"], atol=2e-4, rtol=0)
    raw = case["corrs_raw"].clone().requires_grad_()
    correlation_loss(raw, case["dino_target"]).backward()
    torch.testing.assert_close(raw.grad, case["grad_corrs"], atol=2e-4, rtol=0)
    assert (raw.grad[case["corrs_raw"] < 0] == 0).all()
    floor = correlation_floor(case["dino_target"]).item()
    assert floor == pytest.approx(case["dino_loss_floor_perfect"].item(), abs=1e-6)
    share = case["dino_target"].mean().item()
    assert floor == pytest.approx(0.3133 * share + 0.6931 * (1 - share), abs=1e-4)


def test_rates_drop_at_an_iteration_as_released():
    case = golden("dinoiser/12_scheduler")
    config = DinoiserTraining(drop_at=int(case["milestones"][0]))
    for step, rates in enumerate(case["lr_used_at_iter"].tolist()):
        assert config.rates_at(step) == pytest.approx(rates, rel=1e-12)
    optimizer = build_heads_optimizer(DinoiserHeads(8, 4), config)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == case["weight_decay"].item()
        assert group["betas"] == tuple(case["betas"].tolist())


def test_rates_can_drop_more_than_once():
    config = DinoiserTraining(drop_at=(2, 4))
    assert [config.rates_at(step)[0] for step in (1, 2, 4)] == pytest.approx([5e-5, 5e-6, 5e-7])


def test_targets_are_dinos_correlations_and_what_is_salient():
    images = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
    model = teachers()
    together, salient = targets(model, images, (4, 6), gamma=0.2)
    assert together.shape == (2, 24, 4, 6) and set(together.unique().tolist()) <= {0.0, 1.0}
    assert (together.flatten(2).diagonal(dim1=1, dim2=2) == 1).all()
    assert torch.equal(together.flatten(2), together.flatten(2).mT)
    assert salient.shape == (2, 1, 4, 6)
    head = torch.nn.Conv2d(128, 1, 1).requires_grad_(False)
    with_head = Teachers(model.dino, head=head)
    logits = head(model.dino.facet(images, "k"))
    assert torch.equal(targets(with_head, images, (4, 6), 0.2)[1], (logits > 0).float())
    with pytest.raises(ValueError, match="choose a DINO of the CLIP's patch size"):
        targets(model, images, (2, 3), 0.2)
    with pytest.raises(ValueError, match="head reads 384 channels"):
        Teachers(model.dino, head=torch.nn.Conv2d(384, 1, 1))


def test_teachers_can_stand_in_for_the_heads():
    chosen = DinoClip(load_clip("scenes-clip-vit"), teachers())
    images = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
    view = chosen.view(images)
    assert view.pooled.shape == (2, 128, 4, 6) and view.correlations.shape == (2, 24, 4, 6)
    together, salient = targets(chosen.teachers, images, (4, 6), gamma=0.2)
    assert torch.equal(view.correlations > 0, together.bool())
    assert torch.equal(view.saliency > 0, salient.bool())


def test_teachers_may_have_larger_patches_than_clip():
    sizes = {"img_size": 32, "patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2}
    coarse = Dino(VisionTransformer(**sizes, num_classes=0)).freeze()
    for pooling in (True, False):
        config = DinoiserConfig.preset("scenes", pooling=pooling)
        view = DinoClip(load_clip("scenes-clip-vit"), Teachers(coarse), config).view(
            torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
        )
        assert view.raw.shape == (2, 128, 4, 6) and view.pooled.shape == (2, 128, 2, 3)
        assert view.saliency.shape == (2, 1, 2, 3)


def test_heads_learn_above_the_floor_and_go_on_exactly(album, tmp_path):
    encoder = load_clip("scenes-clip-vit")
    whole, facts = train_heads(SMALL, encoder, teachers(), album, tmp_path / "whole")
    assert facts["above_floor"] >= 0 and facts["pictures"] == 20

    class Killed(Exception):
        pass

    def stop(text: str) -> None:
        if text.startswith("step 3/"):
            raise Killed

    with pytest.raises(Killed):
        train_heads(SMALL, encoder, teachers(), album, tmp_path / "two", report=stop)
    lines = []
    resumed, _ = train_heads(
        SMALL, encoder, teachers(), album, tmp_path / "two", report=lines.append
    )
    assert lines[0] == "going on after step 3 of 6"
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    row = read_journal(tmp_path / "two" / "metrics.jsonl")[-1]
    assert {"floor", "above_floor", "together", "salient", "correlation", "saliency"} <= set(row)
    assert row["floor"] <= row["correlation"]


def test_a_balanced_head_says_one_half_where_it_said_the_share(album, tmp_path):
    images = torch.stack([torch.from_numpy(album.image(i).copy()) for i in range(4)])
    tapped, _ = load_clip("scenes-clip-vit").tapped_and_dense(images.permute(0, 3, 1, 2))
    saliency = {}
    for balanced in (False, True):
        config, folder = replace(SMALL, balanced=balanced), tmp_path / str(balanced)
        heads, facts = train_heads(config, load_clip("scenes-clip-vit"), teachers(), album, folder)
        saliency[balanced] = heads.saliency(tapped)
    rows = read_journal(folder / "metrics.jsonl")
    share = sum(row["salient"] for row in rows) / len(rows)
    assert facts["salient"] == pytest.approx(share) and 0 < share < 1
    moved = saliency[True] - saliency[False]
    torch.testing.assert_close(moved, torch.full_like(moved, math.log((1 - share) / share)))


def test_heads_learn_what_their_teachers_say(album, tmp_path):
    config = replace(SMALL, steps=60, drop_at=50, lr=5e-3)
    _, _ = train_heads(config, load_clip("scenes-clip-vit"), teachers(), album, tmp_path)
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.02


def test_crops_are_a_function_of_their_step(album):
    crops = Crops(album, 24, 4, steps=12)
    later = Crops(album, 24, 4, steps=12, begin=5)
    assert torch.equal(crops[7], later[2]) and crops[0].shape == (4, 3, 24, 24)
    assert not torch.equal(crops[0], Crops(album, 24, 4, steps=12, seed=1)[0])
    with pytest.raises(IndexError):
        crops[12]
    with pytest.raises(ValueError, match="batch_size=30, but there are 20"):
        Crops(album, 24, 30, steps=1)


def test_pictures_of_a_folder_are_drawn_once_without_repetition(tmp_path):
    for number in range(5):
        picture = np.full((20 + number, 30, 3), 10 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    some = PictureFolder(tmp_path, count=3)
    assert len(some) == 3 and len({some.image(i)[0, 0, 0] for i in range(3)}) == 3
    crops = Crops(PictureFolder(tmp_path), 16, 5, steps=1, brightness=0.0)
    assert sorted(crops[0][:, 0, 0, 0].tolist()) == [0, 10, 20, 30, 40]
    with pytest.raises(ValueError, match="holds no picture"):
        PictureFolder(tmp_path / "nothing")


def test_settings_that_cannot_be_are_named():
    with pytest.raises(ValueError, match="kernel=2"):
        DinoiserTraining(kernel=2)
    with pytest.raises(ValueError, match="recipe='paper'"):
        DinoiserTraining.preset("paper")
    official = DinoiserTraining.preset("official")
    assert (official.steps, official.lr, official.background_lr) == (6300, 5e-5, 1e-2)
    assert math.isclose(official.rates_at(5000)[1], 1e-3)
