"""Keys of caches: they hold all that an answer depends on, and cost nothing where none is kept."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from stand_ins import random_episodes, tiny_backbone

from fsslib.data.scenes import CLASS_NAMES
from fsslib.data.scenes import scene as scenes
from fsslib.data.scenes.album import Album
from fsslib.data.scenes.kept import KeptScenes
from fsslib.encoders import identity
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.pass_cache import PassCache, arithmetic
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods import build_method
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.pi_clip.config import ClipPriorConfig
from fsslib.methods.pi_clip.priors import ClipPriors
from fsslib.methods.words import WordMasks
from fsslib.priors.superpixels import SuperpixelConfig
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.pretraining.unlabelled import PictureFiles

IMAGES = torch.randint(256, (2, 3, 33, 33), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(autouse=True)
def own_root(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))


def write_whole(backbone):
    backbone.load_state_dict(tiny_backbone(1).state_dict())


def write_part(backbone):
    backbone.layer4.load_state_dict(tiny_backbone(1).layer4.state_dict())


def assign(backbone):
    backbone.load_state_dict(tiny_backbone(1).state_dict(), assign=True)


@torch.no_grad()
def step(backbone):
    backbone.layer2[0].conv1.weight.mul_(1.5)


def drift(backbone):
    backbone.stem[1].running_mean.add_(0.5)


def normalise(backbone):
    backbone.std *= 2


@pytest.mark.parametrize("change", [write_whole, write_part, assign, step, drift, normalise])
@pytest.mark.parametrize("on_disk", [True, False])
def test_a_backbone_that_changed_is_asked_again(tmp_path, change, on_disk):
    cache = DiskCache(tmp_path / "kept", 2**24) if on_disk else PassCache(2**24)
    backbone = tiny_backbone().remember(cache)
    first, before = backbone(IMAGES), backbone.digest
    assert backbone.digest == before and all(map(torch.equal, backbone(IMAGES), first))
    change(backbone)
    features, expected = backbone(IMAGES), tiny_backbone()
    expected.load_state_dict(backbone.state_dict())
    expected.std = backbone.std
    assert backbone.digest not in (before, "")
    assert all(map(torch.equal, features, expected(IMAGES)))
    assert not torch.equal(features.layer4, first.layer4)
    original = tiny_backbone().remember(cache)
    assert original.digest == before and all(map(torch.equal, original(IMAGES), first))


def test_copies_share_a_cache_until_they_differ():
    cache = PassCache(2**24)
    backbone = tiny_backbone().remember(cache)
    first = backbone(IMAGES)
    twin = backbone.copied(moving_statistics=True)
    assert twin.cache is cache and twin.digest == backbone.digest
    passes = cache.passes
    assert all(map(torch.equal, twin(IMAGES), first)) and cache.passes == passes
    twin.train()(IMAGES)
    assert cache.passes == passes, "while it moves it is always asked"
    assert not torch.equal(twin.eval()(IMAGES).layer4, first.layer4)
    assert all(map(torch.equal, backbone(IMAGES), first))


def test_settings_of_layers_and_versions_of_packages_are_in_the_key(monkeypatch):
    backbone = tiny_backbone()
    keys = [backbone.digest, tiny_backbone(dilated=False).digest]
    backbone.layer4[0].conv2.dilation = backbone.layer4[0].conv2.padding = (1, 1)
    backbone.forget()
    keys.append(backbone.digest)
    clip = load_clip("scenes-clip-vit")
    keys += [clip.digest, load_clip("scenes-clip-vit", positions="bilinear").digest]
    monkeypatch.setattr(torch, "__version__", "9.9")
    keys.append(tiny_backbone().digest)
    monkeypatch.setattr("torchvision.__version__", "9.9")
    keys.append(tiny_backbone().digest)
    assert len(set(keys)) == 7


def test_types_and_shapes_are_in_the_key():
    numbers = torch.arange(6.0)
    states = [numbers, numbers.view(2, 3), numbers.view(torch.int32), numbers.bfloat16()]
    assert len({identity.state_digest({"a": value}) for value in states}) == 4
    assert identity.state_digest({"a": numbers}) == identity.state_digest({"a": numbers.clone()})


def test_a_cache_that_keeps_nothing_needs_no_key(tmp_path, monkeypatch):
    """And so no weight is hashed: not of a backbone, and not of CLIP in three methods."""

    def refuse(_):
        raise AssertionError("a key was made for nothing")

    monkeypatch.setattr(identity, "network_digest", refuse)
    episodes = random_episodes(1, 1, 48)
    vit, rn = load_clip("scenes-clip-vit"), load_clip("scenes-clip-rn")
    for cache in (None, PassCache(), DiskCache(tmp_path / "kept", 0)):
        backbone = tiny_backbone().remember(cache or PassCache())
        build_method("pfenet", backbone, "scenes", dim=8).eval()(episodes)
        named = replace(episodes, class_names=((CLASS_NAMES[0],),))
        ClipPriors(vit, ClipPriorConfig.preset("scenes"), CLASS_NAMES, cache)(named)
        WordMasks(rn, CLASS_NAMES[:3], cache=cache)(IMAGES[:1], CLASS_NAMES[:1], (8, 8))
        ClipDinoiser(vit, DinoiserHeads(vit.width, 8), cache=cache).view(IMAGES[..., :32, :32])
    assert not list((tmp_path / "kept").rglob("*"))
    with pytest.raises(AssertionError, match="made for nothing"):
        tiny_backbone().remember(PassCache(2**20))(IMAGES)


def test_words_of_a_clip_that_changed_are_embedded_again():
    clip = load_clip("scenes-clip-rn")
    masks = WordMasks(clip, CLASS_NAMES[:3], cache=PassCache(2**24))
    before, text = masks.scores(IMAGES), masks.text
    assert masks.text is text and torch.equal(masks.scores(IMAGES), before)
    state = {k: v.roll(1) if "token_emb" in k else v for k, v in clip.model.state_dict().items()}
    clip.model.load_state_dict(state)
    assert not torch.equal(masks.text, text)
    assert not torch.equal(masks.scores(IMAGES), before)


@pytest.fixture
def fp32_precision():
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")


def test_how_numbers_are_computed_is_in_the_key(fp32_precision):
    """A GPU's features answer no CPU, TF32's no fp32."""
    usual = {device: arithmetic(device) for device in ("cpu", "cuda")}
    fp32_precision("medium")
    rounded = {device: arithmetic(device) for device in ("cpu", "cuda")}
    fp32_precision("highest")
    again = {device: arithmetic(device) for device in ("cpu", "cuda")}
    assert again == usual
    assert len({*usual.values(), *rounded.values()}) == 4
    torch.backends.cudnn.allow_tf32 = False
    try:
        assert arithmetic("cuda") != usual["cuda"], "convolutions count too"
    finally:
        torch.backends.cudnn.allow_tf32 = True


def test_what_was_rounded_otherwise_is_made_again(tmp_path, fp32_precision):
    made = []

    def make(pictures):
        made.append(len(pictures))
        return (pictures.float(),)

    cache = DiskCache(tmp_path / "kept", 2**20)
    for name in ("highest", "medium", "highest"):
        fp32_precision(name)
        cache.collect(lambda: "same", IMAGES, make)
    assert made == [2, 2]


def folders(pictures: Path) -> list[Path]:
    segments = SuperpixelConfig.preset("scenes_slic")
    album = Album("clip", 0, 10, 48)
    return [
        KeptScenes("val", 0, 10, 33).folder,
        album.folder,
        SegmentStore(album, segments).folder,
        SegmentStore(PictureFiles("mine", [pictures]), segments).folder,
    ]


@pytest.mark.parametrize("package", ["PIL", "skimage"])
def test_pictures_are_filed_under_the_packages_that_make_them(monkeypatch, package):
    before = folders(Path(__file__))
    distribution = {"PIL": "pillow", "skimage": "scikit-image"}[package]
    monkeypatch.setattr(getattr(scenes, package), "__version__", "99.9")
    monkeypatch.setattr(
        "fsslib.training.pretraining.segments.version",
        lambda name: "99.9" if name == distribution else version(name),
    )
    after = folders(Path(__file__))
    assert not set(before) & set(after)
