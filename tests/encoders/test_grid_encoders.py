"""The embedded networks as encoders of cells, and what every such encoder does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fsslib.encoders.backbones import build_backbone
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.dino import load_dino
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.grid_encoders import build_grid_encoder, is_grid_encoder
from fsslib.encoders.pass_cache import PassCache

IMAGES = torch.randint(256, (2, 3, 97, 97), generator=torch.Generator().manual_seed(0)).byte()


def test_clip_gives_its_dense_features_or_the_tokens_of_a_block():
    clip = load_clip("scenes-clip-vit")
    dense = build_grid_encoder("scenes-clip-vit")
    assert torch.equal(dense(IMAGES), clip.dense(IMAGES))
    assert (dense.channels, dense.stride) == (128, 8)
    block = build_grid_encoder("scenes-clip-vit", facet="tokens", block=-2)
    (tokens,) = clip.tokens(IMAGES, [-2])
    expected = tokens[:, 1:].mT.unflatten(2, (12, 12))
    torch.testing.assert_close(block(IMAGES, norm=False), expected)
    after = clip.visual.ln_post(tokens[:, 1:]).mT.unflatten(2, (12, 12))
    torch.testing.assert_close(block(IMAGES), after)


def test_dino_gives_tokens_before_or_after_the_norm_or_a_facet():
    dino = load_dino()
    tokens = build_grid_encoder("scenes-dino")
    expected = dino(IMAGES)[:, 1:].mT.unflatten(2, (12, 12))
    torch.testing.assert_close(tokens(IMAGES), expected)
    assert (tokens(IMAGES, norm=False) - expected).abs().max() > 0.1
    values = build_grid_encoder("scenes-dino", facet="v")
    torch.testing.assert_close(values(IMAGES), dino.facet(IMAGES, "v"))


@pytest.mark.parametrize(
    ("name", "options", "trouble"),
    [
        ("scenes-dino", {"block": 99}, "has blocks 0 to"),
        ("scenes-clip-vit", {"facet": "tokens", "block": -99}, "has blocks 0 to"),
        ("scenes-dino", {"facet": "v", "block": 0}, "facet='tokens'"),
        ("scenes-clip-vit", {"block": 0}, "facet='tokens'"),
    ],
)
def test_a_block_that_is_not_read_is_refused(name, options, trouble):
    with pytest.raises(ValueError, match=trouble):
        build_grid_encoder(name, **options)


def test_a_cnn_gives_its_middle_layers():
    encoder = build_grid_encoder("scenes-resnet")
    expected = build_backbone("scenes-resnet", "scenes").fine_features(IMAGES)
    torch.testing.assert_close(encoder(IMAGES), expected)
    assert encoder.channels == expected.shape[1]
    assert torch.equal(encoder(IMAGES), encoder(IMAGES, norm=False))


def test_pictures_can_be_seen_at_another_size():
    encoder = build_grid_encoder("scenes-clip-vit")
    assert encoder(IMAGES, size=64).shape == (2, 128, 8, 8)
    assert encoder(IMAGES[..., :80]).shape == (2, 128, 12, 10)


def test_what_is_kept_is_what_was_read():
    encoder = build_grid_encoder("scenes-clip-vit", facet="tokens").remember(PassCache(2**24))
    first = encoder(IMAGES), encoder(IMAGES, norm=False)
    assert encoder.cache.passes == 4 and encoder.cache.hits == 0
    again = encoder(IMAGES), encoder(IMAGES, norm=False)
    assert encoder.cache.passes == 4 and encoder.cache.hits == 4
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = build_grid_encoder("scenes-clip-vit", facet="tokens", block=-2)
    assert other.digest != encoder.digest


def test_what_two_threads_made_at_once_counts_once():
    """Bytes that were counted twice would never be freed, until nothing is left to drop."""
    cache, both = PassCache(100), threading.Barrier(2)

    def make(images):
        both.wait()
        return (images.float().mean((1, 2, 3)),)

    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(cache.collect, lambda: "", IMAGES[:1], make) for _ in range(2)]
        assert torch.equal(*(answer.result()[0] for answer in answers))
    assert cache.bytes == 4


def test_blank_pictures():
    encoder = build_grid_encoder("scenes-clip-vit")
    black = encoder(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))[0]
    torch.testing.assert_close(encoder.blank("black", (96, 96)), black)
    grey = encoder(torch.full((1, 3, 96, 96), 128, dtype=torch.uint8))[0]
    torch.testing.assert_close(encoder.blank("grey", (96, 96)), grey)
    noise = encoder.blank("noise", (96, 96))
    assert torch.equal(noise, encoder.blank("noise", (96, 96), seed=0))
    assert not torch.equal(noise, encoder.blank("noise", (96, 96), seed=1))
    assert noise.shape == black.shape and (noise - black).abs().max() > 0.1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("scenes-clip-rn", {"facet": "tokens"}, r"facet='tokens': scenes-clip-rn has \['dense'\]"),
        ("scenes-dino", {"facet": "dense"}, "facet='dense': scenes-dino has"),
        ("scenes-resnet", {"block": 2}, "is a CNN"),
        ("resnet", {}, "encoder='resnet': expected one of"),
    ],
)
def test_what_a_network_has_not_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_grid_encoder(name, **options)


def test_names():
    for name in ("scenes-clip-vit", "scenes-clip-rn", "scenes-dino", "scenes-resnet", "resnet50"):
        assert is_grid_encoder(name)
    assert not is_grid_encoder("nothing")


def test_floats_are_no_pictures():
    for name in ("scenes-clip-vit", "scenes-dino", "scenes-resnet"):
        encoder = build_grid_encoder(name)
        assert isinstance(encoder, GridEncoder)
        with pytest.raises(TypeError, match="uint8"):
            encoder(IMAGES.float())
