"""QGNet against the numbers of its released code, and its second map."""

import json

import pytest
import torch
from golden import GOLDEN, formula_weights, golden, prefixed
from stand_ins import (
    StandIn,
    assert_head_equals,
    official_episodes,
    random_episodes,
    relu,
    tiny_backbone,
)
from torch import nn

from fsslib.encoders import build_backbone
from fsslib.interop.official import load_official, official_name
from fsslib.layers.resize import resize
from fsslib.methods.qgnet import QGNet, QGNetConfig
from fsslib.priors.similarity import best_match, prior_region_map


def stand_in(channels: tuple[int, int, int]) -> StandIn:
    second, third, fourth = channels
    return StandIn(
        [
            relu(nn.Conv2d(3, 4, 1, 8, bias=False)),
            nn.Identity(),
            relu(nn.Conv2d(4, second, 1, bias=False)),
            relu(nn.Conv2d(second, third, 1, bias=False)),
            relu(nn.Conv2d(third, fourth, 1, bias=False)),
        ],
        channels,
    )


def head_case():
    case = golden("qgnet/qgnet_head_tiny_1shot")
    scales = tuple(case["ppm_scales"].tolist())
    config = QGNetConfig(dim=8, scales=scales)
    model = QGNet(stand_in((6, 8, 10)), stand_in((6, 8, 10)), config)
    load_official(model, prefixed(case, "w/"))
    for module in model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    masks = (case["s_y"] == 1).float()
    prediction = model.train().predict(case["x"], case["s_x"].flatten(0, 1), masks)
    return case, model, prediction


@pytest.mark.parametrize("kind", ["relu", "signed", "const"])
def test_prior_region_map_equals_the_released_code(kind):
    case = golden("qgnet/prior_region_map")
    region = prior_region_map(case[f"{kind}_bridge"], case[f"{kind}_prior"])
    torch.testing.assert_close(region, case[f"{kind}_map"], atol=1e-5, rtol=0)
    if kind == "signed":
        torch.testing.assert_close(resize(region, (11, 11)), case["up_map"], atol=1e-5, rtol=0)


def test_whole_forward_equals_the_released_code():
    case, model, prediction = head_case()
    assert_head_equals(case, model, prediction)


def test_both_maps_reach_the_decoder_in_the_official_order():
    case, _, prediction = head_case()
    maps = prediction.maps["prior"]
    for level, scale in enumerate(case["ppm_scales"].int().tolist()):
        seen = case[f"merge_in{level}"][:, -2:]
        torch.testing.assert_close(resize(maps, (scale, scale)), seen, atol=1e-4, rtol=0)


def test_gradients_equal_the_released_code_through_the_map():
    case, model, prediction = head_case()
    sum(model.loss(prediction, official_episodes(case)).values()).backward()
    gradients = {
        official_name(n, QGNet.official_names): p.grad for n, p in model.named_parameters()
    }
    recorded = prefixed(case, "g/")
    assert "down_learn_unsuper.0.weight" in recorded
    for name, gradient in recorded.items():
        scale = gradient.abs().max()
        assert (gradients[name] - gradient).abs().max() <= 1e-4 * scale, name


@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_checkpoint_keys_load_completely(prefix):
    shapes = json.loads((GOLDEN / "keys_qgnet_resnet50.json").read_text())["keys"]
    state = {prefix + key: value for key, value in formula_weights(shapes).items()}
    model = QGNet(build_backbone("resnet50-v2", "random"), build_backbone("resnet50", "random"))
    load_official(model, state)
    assert torch.equal(
        model.region.extractor.stem[0].weight, state[prefix + "layer0_unsuper.0.weight"]
    )
    assert sum(p.numel() for p in model.parameters()) == 67_395_082


def scenes_model(**changes) -> QGNet:
    torch.manual_seed(0)
    config = QGNetConfig.preset("scenes", dim=8, **changes)
    return QGNet(tiny_backbone(0), tiny_backbone(1), config).eval()


@pytest.mark.parametrize("shot", [1, 3])
def test_predicts_any_shot_and_trains_only_the_head(shot):
    model = scenes_model().train()
    episodes = random_episodes(batch=2, shot=shot, size=33)
    prediction = model(episodes)
    assert prediction.logits.shape == (2, 2, 33, 33)
    both = [prediction.maps["guided_region"], prediction.maps["prior_region"]]
    assert torch.equal(torch.cat(both, 1), prediction.maps["prior"])
    sum(model.loss(prediction, episodes).values()).backward()
    for name, parameter in model.named_parameters():
        head = "backbone." not in name and "extractor." not in name
        assert (parameter.grad is not None) == head, name


def test_the_extractors_moved_statistics_travel_with_the_head():
    model, other = (scenes_model(official_bn=True) for _ in range(2))
    episodes = random_episodes(batch=2, shot=1, size=33)
    before = model(episodes).maps["prior_region"]
    model.train()(episodes)
    moved = model.eval()(episodes)
    assert not torch.equal(moved.maps["prior_region"], before)
    other.load_head_state(model.head_state())
    assert torch.equal(other(episodes).logits, moved.logits)


@pytest.mark.parametrize(("name", "grid"), [("vgg16_bn", 20), ("resnet101", 41)])
def test_other_backbones_at_the_papers_smaller_size(name, grid):
    torch.manual_seed(0)
    parts = [build_backbone(name, "random") for _ in range(2)]
    model = QGNet(*parts, QGNetConfig.preset("fractions", dim=8)).eval()
    with torch.no_grad():
        prediction = model(random_episodes(batch=1, shot=1, size=321))
    assert prediction.logits.shape == (1, 2, 321, 321)
    assert prediction.maps["prior"].shape == (1, 2, grid, grid)


def test_prior_region_map_does_not_read_the_supports():
    episodes = random_episodes(batch=2, shot=1, size=33)
    model = scenes_model()
    before = model(episodes).maps
    episodes.support_images.zero_()
    after = model(episodes).maps
    assert torch.equal(before["prior_region"], after["prior_region"])
    assert not torch.equal(before["guided_region"], after["guided_region"])


def test_what_the_decoder_is_shown_can_be_changed():
    episodes = random_episodes(batch=2, shot=1, size=33)
    own, zero, inverted, scrambled = (
        scenes_model(shown=shown)(episodes).maps["prior_region"]
        for shown in ("own", "zero", "inverted", "scrambled")
    )
    assert zero.abs().max() == 0
    torch.testing.assert_close(inverted, 1 - own)
    assert not torch.equal(scrambled, own)
    assert torch.equal(scrambled.flatten(1).sort().values, own.flatten(1).sort().values)


def test_the_same_backbone_twice_without_projections_says_nothing():
    """Every cell then finds itself: what is left of the map is rounding, magnified."""
    features = torch.rand(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    assert (best_match(features, features) - 1).abs().max() < 1e-6
    region = prior_region_map(features, features)
    assert region.max() - region.min() > 0.1


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="built of an extractor, or of another prior="):
        QGNet(tiny_backbone())
    small = tiny_backbone()
    other = build_backbone("scenes-moco", "random")
    with pytest.raises(ValueError, match="has 128 channels, the extractor 256"):
        QGNet(small, other, QGNetConfig(projection="none"))


@pytest.mark.parametrize("name", ["paper", "official", "fractions", "scenes"])
def test_presets_differ_where_paper_and_code_do(name):
    config = QGNetConfig.preset(name)
    assert (config.projection == "none") == (name == "paper")
    assert config.official_bn == (name == "official")


def test_half_precision_keeps_the_map_in_fp32():
    model, episodes = scenes_model(), random_episodes(batch=2, shot=1, size=65)
    whole = model(episodes)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(episodes)
    assert half.maps["prior"].dtype == torch.float32
    torch.testing.assert_close(half.logits.float(), whole.logits, atol=0.1, rtol=0.1)
