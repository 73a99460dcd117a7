"""Contrastive pretraining: batches, captions, phases, exact going on, and that it learns."""

import math
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.data.scenes.album import Album
from fsslib.encoders.clip_small import small_clip
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.caption_batches import Batches
from fsslib.training.pretraining.captioned import CaptionedScenes, ImageTextFolder, mirrored
from fsslib.training.pretraining.clip import pretrain_clip
from fsslib.training.pretraining.clip_recipe import ClipConfig
from fsslib.training.pretraining.clip_step import naming_loss
from fsslib.training.pretraining.clip_teacher import adopt_stem, distance


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return Album("test", 0, 60, 32, tmp_path_factory.mktemp("album")).prepare(workers=1)


@pytest.fixture(scope="module")
def pictures(album):
    return CaptionedScenes(album)


def test_an_album_holds_the_scenes(album):
    scene = render_scene("test", 0, 7, 32)
    assert np.array_equal(album.image(7), scene.image)
    assert tuple(album.captions(7)) == scene.captions
    assert album.names(7) == [one.name for one in scene.objects]
    assert not list(album.folder.glob("*label*"))


def test_an_album_is_finished_where_it_stopped(album, tmp_path, monkeypatch):
    monkeypatch.setattr("fsslib.data.scenes.album.SHARD", 10)
    part = Album("test", 0, 30, 16, tmp_path)
    part.prepare(workers=1)
    lost, *remaining = sorted(part.folder.glob("*.npy"))
    lost.unlink()
    with pytest.raises(FileNotFoundError, match="call prepare"):
        Album("test", 0, 30, 16, tmp_path).image(0)
    before = [path.stat().st_mtime_ns for path in remaining]
    again = Album("test", 0, 30, 16, tmp_path).prepare(workers=1)
    assert [path.stat().st_mtime_ns for path in remaining] == before
    assert np.array_equal(again.image(29), render_scene("test", 0, 29, 16).image)


def test_captions_vary_and_stay_true(pictures):
    rng = np.random.default_rng(0)
    texts = {pictures.caption(index, rng) for index in range(60) for _ in range(40)}
    assert len(texts) > 1000
    assert any("without" in text for text in texts)
    for index in range(20):
        names = set(pictures.album.names(index))
        for _ in range(40):
            text = pictures.caption(index, rng)
            if "without" in text:
                absent = text.split("without")[1]
                assert not any(name in absent.split() for name in names), (text, names)


def test_captions_of_one_class_name_nothing_else(pictures):
    rng = np.random.default_rng(0)
    for name in CLASS_NAMES:
        for _ in range(20):
            words = set(re.findall("[a-z]+", pictures.caption(0, rng, only=name)))
            assert words & set(CLASS_NAMES) == {name}


def test_pictures_of_single_objects(pictures):
    singles = pictures.singles()
    assert len(singles) > 5
    for name, indices in singles.items():
        assert all(pictures.names(index) == [name] for index in indices)


def test_the_vocabulary_covers_every_caption(pictures):
    encoder = small_clip("scenes-clip-vit", pictures.vocabulary())
    rng = np.random.default_rng(1)
    texts = [pictures.caption(index, rng) for index in range(60) for _ in range(20)]
    tokens = encoder.tokenizer(texts)
    assert (tokens.max(1).values == encoder.tokenizer.end).all(), "a caption was cut"
    assert encoder.tokenizer(mirrored("a mug on the left, right of a key")).shape == (1, 48)


def test_mirroring_swaps_sides():
    assert mirrored("a key on the left of a bright star") == "a key on the right of a bright star"


def batches(pictures, **options):
    tokenize = small_clip("scenes-clip-vit", pictures.vocabulary()).tokenizer
    return Batches(pictures, tokenize, 8, 12, lambda step: 32 if step > 3 else 16, **options)


def test_a_batch_is_a_function_of_its_step(pictures):
    whole, rest = batches(pictures), batches(pictures, begin=5)
    assert len(whole) == 12 and len(rest) == 7
    for one, other in zip(list(whole)[5:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert whole[0][0].shape == (8, 3, 16, 16) and whole[4][0].shape == (8, 3, 32, 32)
    assert whole[0][0].dtype == torch.uint8
    other_seed = batches(pictures, seed=1)
    assert not torch.equal(whole[4][0], other_seed[4][0])


def test_an_epoch_shows_every_picture_once(pictures):
    loader = batches(pictures)
    rng = np.random.default_rng(0)
    shown = [index for step in range(7) for index, _ in loader._chosen(step, rng)]
    assert len(shown) == len(set(shown)) == 56


def test_captions_of_a_batch_differ(pictures):
    for batch in batches(pictures):
        assert len({tuple(row) for row in batch.tokens.tolist()}) == 8


def test_single_steps_show_each_class_once(pictures):
    loader = batches(pictures, single_steps=2)
    rng = np.random.default_rng(0)
    chosen = loader._chosen(1, rng)
    names = [pictures.album.names(index) for index, _ in chosen]
    assert [[only] for _, only in chosen] == names
    assert all(len(of_picture) == 1 for of_picture in names)
    assert len({name for (name,) in names}) == len(names) > 5
    assert len(loader._chosen(2, rng)) == 8


def test_from_some_step_on_classes_are_named_by_themselves(pictures):
    loader = batches(pictures, naming_from=2)
    before, after = loader[1], loader[2]
    assert len(before.names) == 0
    assert before.shown.shape == (8, 0)
    rng = np.random.default_rng(0)
    names = [set(pictures.names(index)) for index, _ in loader._chosen(2, rng)]
    classes = sorted(set().union(*names))
    assert len(after.names) == len(classes)
    assert after.shown.tolist() == [[name in of_one for name in classes] for of_one in names]
    single = batches(pictures, naming_from=0, single_steps=2)
    assert len(single[1].names) == 0
    assert len(single[2].names) > 0


def test_naming_makes_every_object_of_a_picture_count():
    """A picture that only answers to its first object pays for the second one; one that answers to
    both pays nothing, for neither is the other's negative."""
    names = torch.eye(4)
    shown = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.bool)
    torch.manual_seed(0)
    first = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    both = torch.nn.functional.normalize(shown.float(), dim=-1)
    losses = [naming_loss(image, names, shown, torch.tensor(20.0)) for image in (first, both)]
    assert losses[0] > 0.4
    assert losses[1] < 1e-5


def test_naming_can_be_asked_of_pictures_that_all_show_the_same():
    """No picture is wrong for the name: nothing to compare with, and no NaN."""
    image = torch.eye(2, requires_grad=True)
    loss = naming_loss(image, torch.eye(2)[:1], torch.ones(2, 1, dtype=torch.bool), torch.tensor(9))
    loss.backward()
    assert loss == 0
    assert image.grad.abs().sum() == 0


@pytest.mark.parametrize("single_steps", [0, 2])
def test_two_wordings_of_the_same_pictures(pictures, single_steps):
    pairs = list(batches(pictures, single_steps=single_steps).wordings(3))
    assert len(pairs) == 3
    for one, other in pairs:
        assert one.shape == other.shape and not torch.equal(one, other)


def test_the_text_tower_learns_names_before_anything_else(pictures, tmp_path):
    """After text_steps, wordings of one class are closer than the same wording of two."""
    config = replace(SMALL, steps=1, coarse_steps=1, single_steps=1, text_steps=40)
    encoder, _ = trained("scenes-clip-vit", pictures, tmp_path, replace(config, lr=1e-3))
    mug, key = encoder.freeze().encode_text(["mug", "key"], "photo", cache=False)
    other_mug = encoder.encode_text(["mug"], ["itap of my {}."], cache=False)[0]
    assert mug @ other_mug > mug @ key + 0.2


def test_too_few_pictures_are_refused(pictures):
    with pytest.raises(ValueError, match="batch_size=99"):
        Batches(pictures, list, 99, 1, lambda _: 32)


@pytest.fixture
def folder(tmp_path):
    """Twelve photographs' worth of noise, with captions."""
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(256, size=(30, 50 + number, 3), dtype=np.uint8)
        path = tmp_path / "data" / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        path.with_suffix(".txt").write_text(f"picture number{number}\n\nnoise{number}\n")
    return tmp_path / "data"


def test_any_folder_of_pictures_with_captions(folder):
    pictures = ImageTextFolder(folder, 24)
    assert len(pictures) == 12 and pictures.image(3).shape == (24, 24, 3)
    assert "noise" in pictures.vocabulary()
    assert pictures.lines[3] == ["picture number3", "noise3"]
    with pytest.raises(ValueError, match="single_steps"):
        Batches(pictures, list, 4, 2, lambda _: 24, single_steps=1)
    (folder / "05.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"05\.txt is empty"):
        ImageTextFolder(folder, 24)
    (folder / "05.txt").unlink()
    with pytest.raises(ValueError, match=r"no \.txt beside them, such as \['05\.png'\]"):
        ImageTextFolder(folder, 24)
    with pytest.raises(ValueError, match=r"holds no \.jpg"):
        ImageTextFolder(folder / "nowhere", 24)


def test_phases_and_learning_rate():
    config = ClipConfig(steps=10, single_steps=2, coarse_steps=4, unmasked_steps=3, warmup=2)
    config = replace(config, patch_dropout=0.5, coarse_size=16, size=32, lr=1.0)
    assert [config.fine_at(step) for step in (3, 4)] == [False, True]
    assert [replace(config, fine_steps=2).fine_at(step) for step in (7, 8)] == [False, True]
    assert [config.size_at(step) for step in (0, 3, 4, 9)] == [16, 16, 32, 32]
    larger = replace(config, large_steps=2, large_size=48)
    assert [larger.size_at(step) for step in (3, 4, 7, 8)] == [16, 32, 32, 48]
    assert (config.final_size, larger.final_size) == (32, 48)
    assert [config.dropout_at(step) for step in (3, 4, 6, 7)] == [0.0, 0.5, 0.5, 0.0]
    assert [config.lr_at(step) for step in (0, 1, 3, 4)] == [0.5, 1.0, 1.0, 1.0]
    assert config.lr_at(7) == pytest.approx(0.5)
    assert config.lr_at(9) == pytest.approx(0.5 * (1 + math.cos(math.pi * 5 / 6)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"steps": 5, "coarse_steps": 4, "unmasked_steps": 2}, "are more than steps=5"),
        ({"single_steps": 5, "coarse_steps": 4}, "single_steps=5"),
        ({"steps": 5, "coarse_steps": 4, "fine_steps": 2}, "fine_steps=2"),
        ({"steps": 5, "coarse_steps": 4, "large_steps": 2}, "large_steps=2"),
        ({"patch_dropout": 1.0}, "patch_dropout=1.0"),
        ({"patch_dropout": 0.5, "teacher": "scenes-clip-rn"}, "answers for every patch"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        ClipConfig(**values)


def test_presets():
    assert ClipConfig.preset("scenes-clip-vit", steps=None).teacher == "scenes-clip-rn"
    assert ClipConfig.preset("ViT-B-16", lr=1e-3).size == 224
    with pytest.raises(ValueError, match="architecture of open_clip"):
        ClipConfig.preset("scenes-clip")


SMALL = ClipConfig(
    **{"steps": 6, "coarse_steps": 3, "single_steps": 2, "batch_size": 8, "size": 32},
    **{
        "text_steps": 2,
        "coarse_size": 24,
        "warmup": 2,
        "checkpoint_every": 2,
        "patch_dropout": 0.25,
    },
)


def trained(name, pictures, folder, config=SMALL, report=str, teacher=None):
    torch.manual_seed(0)
    encoder = small_clip(name, pictures.vocabulary(), fine=False)
    config = replace(config, model=name)
    facts = pretrain_clip(config, encoder, pictures, folder, teacher=teacher, report=report)
    return encoder, facts


class Stop(Exception):
    """Stands for the kill."""


@pytest.mark.parametrize("name", ["scenes-clip-rn", "scenes-clip-vit"])
def test_a_stopped_training_ends_with_the_same_weights(name, pictures, tmp_path):
    whole, facts = trained(name, pictures, tmp_path / "whole")
    assert facts["settings"] == asdict(replace(SMALL, model=name))
    singles = len(pictures.singles())
    assert facts["pictures"] == 2 * singles + 4 * 8
    assert whole.stride == 8

    def stop(line):
        if line.startswith("step 4/"):
            raise Stop

    with pytest.raises(Stop):
        trained(name, pictures, tmp_path / "stopped", report=stop)
    torch.manual_seed(5)
    resumed, _ = trained(name, pictures, tmp_path / "stopped")
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
    steps = [row["step"] for row in read_journal(tmp_path / "stopped" / "metrics.jsonl")]
    assert steps == [6]
    with pytest.raises(CheckpointError, match="lr"):
        trained(name, pictures, tmp_path / "stopped", replace(SMALL, lr=1.0))


def test_a_teacher_is_approached_on_the_coarser_grid(pictures, tmp_path):
    """The ViT's dense features come closer to the ResNet's, seen from their mean; the teacher stays
    as it is, and so does its text tower, which the student has taken over."""
    torch.manual_seed(1)
    teacher = small_clip("scenes-clip-rn", pictures.vocabulary()).freeze()
    before = {key: value.clone() for key, value in teacher.model.state_dict().items()}
    config = replace(SMALL, teacher="scenes-clip-rn", patch_dropout=0.0, single_steps=0)
    config = replace(config, steps=30, coarse_steps=20, coarse_size=16, lr=1e-3)
    fresh = small_clip("scenes-clip-vit", pictures.vocabulary())
    student, _ = trained("scenes-clip-vit", pictures, tmp_path, config, teacher=teacher)
    images = torch.from_numpy(np.stack([pictures.image(i) for i in range(8)])).permute(0, 3, 1, 2)
    target = teacher.dense(images).movedim(1, -1).flatten(0, 2)
    with torch.no_grad():
        start, end = (
            distance(encoder.eval().dense(images).movedim(1, -1).flatten(0, 2), target).item()
            for encoder in (fresh, student)
        )
    assert end < start - 0.1
    for key, value in student.model.state_dict().items():
        assert key.startswith("visual.") or torch.equal(value, before[key]), key
    for key, value in teacher.model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_patches_start_as_the_teachers_first_stages_see_them(pictures):
    torch.manual_seed(1)
    teacher = small_clip("scenes-clip-rn", pictures.vocabulary()).freeze()
    student = small_clip("scenes-clip-vit", pictures.vocabulary()).freeze()
    adopt_stem(student, teacher)
    inputs, stem = torch.randn(2, 3, 96, 96), student.visual.conv1
    tower = teacher.visual
    expected = tower.layer2(tower.layer1(tower.stem(inputs)))
    torch.testing.assert_close(stem(inputs), stem.project(expected))
    assert stem.layer2[0].conv1.weight is not tower.layer2[0].conv1.weight


def test_it_learns(pictures, tmp_path):
    """Eight pictures are told apart after a minute's worth of steps on a small ResNet."""
    config = replace(SMALL, steps=40, coarse_steps=40, single_steps=0, lr=1e-3)
    few = CaptionedScenes(replace(pictures.album, count=8).prepare(workers=1))
    _, facts = trained("scenes-clip-rn", few, tmp_path, replace(config, warmup=5))
    assert facts["loss"] < 0.85 * math.log(8)
