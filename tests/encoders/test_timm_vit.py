"""ViTs of timm with random weights: small ones whole, large ones by their shapes alone."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from fsslib.encoders import WeightsError, timm_vit
from fsslib.encoders.grid_encoders import build_grid_encoder, is_grid_encoder
from fsslib.encoders.licences import LicenceWarning, licence_of, timm_licence
from fsslib.encoders.timm_vit import TimmViT, build_timm_vit, is_timm_vit

SMALL = {
    "vit_small_patch14_dinov2": (14, 1, 384),
    "vit_small_patch14_reg4_dinov2": (14, 5, 384),
    "vit_small_patch16_dinov3": (16, 5, 384),
    "vit_tiny_patch16_224": (16, 1, 192),
}
LARGE = {
    "vit_large_patch14_dinov2": (14, 1, 1024),
    "vit_large_patch14_reg4_dinov2": (14, 5, 1024),
    "vit_large_patch16_dinov3": (16, 5, 1024),
    "vit_base_patch16_224": (16, 1, 768),  # MAE's
    "vit_base_patch16_clip_224": (16, 1, 768),
    "vit_large_patch14_clip_336": (14, 1, 1024),
    "samvit_base_patch16": (16, 0, 768),
}


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    torch.manual_seed(0)
    return build_timm_vit(f"timm/{request.param}", "random"), SMALL[request.param]


def noise(side, batch=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (batch, 3, side, side), generator=generator).byte()


def test_cells_are_the_models_own_tokens_without_its_prefix(small):
    encoder, (patch, prefix, width) = small
    images = noise(6 * patch, batch=2)
    assert (encoder.stride, encoder.prefix_tokens, encoder.channels) == (patch, prefix, width)
    whole = encoder.model.forward_features(encoder.preprocess(images))
    expected = whole[:, prefix:].mT.unflatten(2, (6, 6))
    torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=0)
    if prefix > 1:  # the trap: a class token alone dropped shifts the grid and raises no error
        assert not torch.equal(whole[:, 1:37].mT.unflatten(2, (6, 6)), expected)
    cells, others = encoder.tokens(encoder.preprocess(images))
    assert others.shape == (2, prefix, width)
    torch.testing.assert_close(cells.mT.unflatten(2, (6, 6)), expected, atol=1e-5, rtol=0)


def test_before_the_norm_is_the_residual_stream(small):
    encoder, (patch, *_) = small
    images = noise(4 * patch)
    before = encoder(images, norm=False)
    after = encoder.model.norm(before.flatten(2).mT).mT.view_as(before)
    torch.testing.assert_close(after, encoder(images), atol=1e-4, rtol=0)
    encoder.norm = False  # an encoder's own setting goes before the method's
    assert torch.equal(encoder(images), before)
    encoder.norm = None


def test_any_size_that_fits_the_patch_and_others_are_brought_there(small):
    encoder, (patch, *_) = small
    oblong = noise(8 * patch)[:, :, : 5 * patch]
    assert encoder(oblong).shape[-2:] == (5, 8)
    assert encoder(noise(97), size=7 * patch).shape[-2:] == (7, 7)
    near = round(97 / patch)
    assert encoder(noise(97)).shape[-2:] == (near, near)
    with pytest.raises(ValueError, match=f"multiples of its patch of {patch}"):
        encoder.read(torch.zeros(1, 3, 97, 97), True)


def test_any_block_can_be_read(small):
    encoder, (patch, *_) = small
    first = TimmViT(encoder.model, encoder.name, block=0)
    inputs = encoder.preprocess(noise(3 * patch))
    features = first.read(inputs, norm=False)
    expected = encoder.model.forward_intermediates(inputs, indices=[0], intermediates_only=True)
    torch.testing.assert_close(features, expected[0])
    with pytest.raises(ValueError, match=r"block=12: .* has blocks 0 to 11"):
        TimmViT(encoder.model, encoder.name, block=12)


@pytest.mark.parametrize("name", LARGE)
def test_large_architectures_have_the_same_shapes(name):
    """On the meta device: nothing is computed, every shape is the true one."""
    patch, prefix, width = LARGE[name]
    options = (
        {}
        if name.startswith(("samvit", "vit_large_patch16_dinov3"))
        else {"dynamic_img_size": True}
    )
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0, **options).eval()
        encoder = TimmViT(model, name)
        side = 8 * patch
        assert (encoder.stride, encoder.prefix_tokens, encoder.channels) == (patch, prefix, width)
        assert encoder.read(torch.zeros(1, 3, side, side), norm=False).shape == (1, width, 8, 8)
        after = encoder.read(torch.zeros(1, 3, side, side), norm=True)
        assert after.shape == (1, 256 if name.startswith("samvit") else width, 8, 8)


def test_sam_has_no_prefix_tokens_to_give():
    with torch.device("meta"):
        encoder = TimmViT(timm.create_model("samvit_base_patch16", num_classes=0), "sam")
    with pytest.raises(ValueError, match="no class or register tokens"):
        encoder.tokens(torch.zeros(1, 3, 64, 64))


def test_statistics_are_the_weights_own():
    sources = {"vit_small_patch14_dinov2": 0.485, "vit_base_patch16_clip_224.openai": 0.48145466}
    for name, mean in sources.items():
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=0)
        assert TimmViT(model, name).statistics[0, 0].item() == pytest.approx(mean)


def test_a_model_that_only_normalises_its_mean_says_so():
    model = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, global_pool="avg", dynamic_img_size=True
    )
    encoder = TimmViT(model, "vit_tiny").freeze()
    with pytest.raises(ValueError, match="norm=False"):
        encoder(noise(32))
    assert encoder(noise(32), norm=False).shape[-2:] == (2, 2)


def test_weights_from_a_file_a_classifier_left_out(tmp_path):
    torch.manual_seed(3)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    save_file(model.state_dict(), tmp_path / "tiny.safetensors")
    encoder = build_timm_vit("timm/vit_tiny_patch16_224", tmp_path / "tiny.safetensors")
    expected = model.eval().forward_features(encoder.preprocess(noise(224)))
    torch.testing.assert_close(
        encoder(noise(224)).flatten(2).mT, expected[:, 1:], atol=1e-4, rtol=0
    )
    assert not any(parameter.requires_grad for parameter in encoder.train().parameters())
    assert not encoder.training
    with pytest.raises(WeightsError, match="does not fit"):
        build_timm_vit("timm/vit_small_patch14_dinov2", tmp_path / "tiny.safetensors")


def test_unknown_names_and_weights_are_refused():
    with pytest.raises(WeightsError, match=r"neither a file nor a known tag.*lvd142m"):
        build_timm_vit("timm/vit_small_patch14_dinov2", "imagenet")
    with pytest.raises(ValueError, match="architecture of timm"):
        build_timm_vit("timm/vit_enormous", "random")
    with pytest.raises(ValueError, match="expected a plain or RoPE ViT"):
        build_timm_vit("timm/resnet18", "random")
    assert is_timm_vit("timm/vit_small_patch16_dinov3.lvd1689m")
    assert not is_timm_vit("timm/resnet18") and not is_timm_vit("resnet18")


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_small_patch14_dinov2"])
def test_a_licence_with_conditions_is_named_before_the_download(name, monkeypatch, recwarn):
    warned = []

    def offline(*args, pretrained=False, **options):
        warned.extend(str(each.message) for each in recwarn if each.category is LicenceWarning)
        raise OSError("no network")

    monkeypatch.setattr(timm_vit.timm, "create_model", offline)
    with pytest.raises(WeightsError, match=r"licence.*no network.*pass the path as weights="):
        build_timm_vit(f"timm/{name}", "timm")
    assert bool(warned) == name.endswith("dinov3")
    assert not warned or "DINOv3 License" in warned[0]


def test_licences_of_weights(tmp_path):
    assert timm_licence("timm/vit_small_patch14_dinov2.lvd142m") == "apache-2.0"
    assert "not for commercial use" in licence_of("timm/vit_base_patch16_224", "mae")
    assert "DINOv3" in licence_of("timm/vit_base_patch16_dinov3", "timm")
    assert licence_of("scenes-clip-vit", "scenes") == "MIT"
    assert licence_of("timm/vit_small_patch14_dinov2", "random") is None
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"")
    assert licence_of("timm/vit_small_patch14_dinov2", str(path)) is None
    path.with_suffix(".json").write_text('{"licence": "CC0"}')
    assert licence_of("timm/vit_small_patch14_dinov2", str(path)) == "CC0"


def test_the_interface_takes_any_of_them_by_name():
    encoder = build_grid_encoder("timm/vit_tiny_patch16_224", "random", norm=False)
    assert isinstance(encoder, TimmViT) and encoder.norm is False
    assert is_grid_encoder("timm/vit_tiny_patch16_224")
    with pytest.raises(ValueError, match=r"facet='v'.*\['tokens'\]"):
        build_grid_encoder("timm/vit_tiny_patch16_224", "random", facet="v")
