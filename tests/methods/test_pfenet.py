"""PFENet against the numbers of its released code, and its behaviour at the edges."""

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

from fsslib.encoders import WeightsError, build_backbone
from fsslib.encoders.pass_cache import PassCache
from fsslib.interop.official import load_official, official_name
from fsslib.layers.prototype import masked_average
from fsslib.layers.resize import resize
from fsslib.methods.features import masked_stages, middle_features
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.priors.similarity import prior_mask


def fem_case():
    case = golden("pi_clip/pfenet_fem_1shot")
    layers = [
        nn.Identity(),
        nn.Identity(),
        relu(nn.Conv2d(3, 4, 3, 8, 1)),
        relu(nn.Conv2d(4, 8, 3, 1, 1)),
        nn.Sequential(nn.Conv2d(8, 6, 3, 1, 1)),
    ]
    scales = tuple(case["scales"].tolist())
    model = PFENet(StandIn(layers, (4, 8, 6)), PFENetConfig(dim=8, scales=scales))
    load_official(model, prefixed(case, "w/"))
    return case, model


def head_case():
    case = golden("qgnet/pfenet_head_tiny_1shot")
    layers = [
        relu(nn.Conv2d(3, 4, 1, 8, bias=False)),
        nn.Identity(),
        relu(nn.Conv2d(4, 6, 1, bias=False)),
        relu(nn.Conv2d(6, 8, 1, bias=False)),
        relu(nn.Conv2d(8, 10, 1, bias=False)),
    ]
    scales = tuple(case["ppm_scales"].tolist())
    model = PFENet(StandIn(layers, (6, 8, 10)), PFENetConfig(dim=8, scales=scales))
    load_official(model, prefixed(case, "w/"))
    return case, model


def predict(case, model):
    masks = (case["s_y"] == 1).float()
    return model.predict(case["x"], case["s_x"].flatten(0, 1), masks)


def test_fem_1shot_equals_the_released_code():
    case, model = fem_case()
    prediction = predict(case, model.eval())
    torch.testing.assert_close(prediction.maps["prior"], case["prior"], atol=1e-5, rtol=0)
    for level, logits in enumerate(prediction.auxiliary_logits):
        torch.testing.assert_close(logits, case[f"inner{level}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(prediction.logits, case["logits"], atol=1e-5, rtol=0)
    loss = model.loss(prediction, official_episodes(case))
    torch.testing.assert_close(loss["main"], case["main_loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(loss["auxiliary"], case["aux_loss"], atol=1e-5, rtol=0)


def test_head_and_gradients_equal_the_released_code():
    case, model = head_case()
    for module in model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    prediction = predict(case, model.train())
    loss = assert_head_equals(case, model, prediction)
    sum(loss.values()).backward()
    recorded = prefixed(case, "g/")
    named = {official_name(n, PFENet.official_names): p.grad for n, p in model.named_parameters()}
    gradients = {name: named[name] for name in recorded}
    for name, gradient in recorded.items():
        scale = gradient.abs().max()
        assert (gradients[name] - gradient).abs().max() <= 1e-4 * scale, name


def test_what_each_scale_sees_equals_the_released_code():
    case, model = head_case()
    model.eval()
    query, support = model.backbone.stages(case["x"]), case["s_x"].flatten(0, 1)
    features = model.reduce_query(middle_features(query))
    stages, soft = masked_stages(model.backbone, support, (case["s_y"] == 1).float())
    prototype = masked_average(model.reduce_support(middle_features(stages)), soft)
    prior = predict(case, model).maps["prior"]
    for level, scale in enumerate(case["ppm_scales"].int().tolist()):
        seen = model.fem.gather(features, prototype, prior, (scale, scale))
        torch.testing.assert_close(seen, case[f"merge_in{level}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_checkpoint_keys_load_completely(prefix):
    shapes = json.loads((GOLDEN / "keys_pfenet_resnet50.json").read_text())
    state = {prefix + key: value for key, value in formula_weights(shapes).items()}
    model = PFENet(build_backbone("resnet50-v2", "random"))
    load_official(model, state)
    assert torch.equal(model.classifier[3].bias, state[prefix + "cls.3.bias"])
    assert torch.equal(model.backbone.stem[6].weight, state[prefix + "layer0.6.weight"])
    assert sum(p.numel() for p in model.parameters()) == 34_448_842


def test_official_checkpoint_mismatch_names_the_keys():
    case, model = fem_case()
    state = prefixed(case, "w/")
    state["extra.weight"] = state.pop("cls.0.weight")
    with pytest.raises(
        WeightsError, match=r"missing \['cls.0.weight'\].*unknown \['extra.weight'\]"
    ):
        load_official(model, state, PFENet.official_names)


@pytest.mark.parametrize("shot", [1, 3])
def test_predicts_any_shot_and_trains_only_the_head(shot):
    model = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8)).train()
    episodes = random_episodes(batch=2, shot=shot, size=33)
    prediction = model(episodes)
    assert prediction.logits.shape == (2, 2, 33, 33)
    assert prediction.maps["prior_per_shot"].shape[:2] == (2, shot)
    sum(model.loss(prediction, episodes).values()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (not name.startswith("backbone.")), name


def test_backbone_batchnorm_is_frozen_unless_official():
    for official in (False, True):
        config = PFENetConfig.preset("scenes", dim=8, official_bn=official)
        model = PFENet(tiny_backbone(), config).train()
        before = model.backbone.stem[1].running_mean.clone()
        model(random_episodes(batch=2, shot=1, size=33))
        moved = not torch.equal(before, model.backbone.stem[1].running_mean)
        assert moved == official


def test_statistics_that_moved_travel_with_the_head():
    config = PFENetConfig.preset("scenes", dim=8, official_bn=True)
    model, other = (PFENet(tiny_backbone(), config) for _ in range(2))
    episodes = random_episodes(batch=2, shot=1, size=33)
    model.backbone.remember(PassCache(2**24))
    before = model.eval()(episodes).logits
    model.train()(episodes)
    moved = model.eval()(episodes).logits
    assert not torch.equal(moved, before), "what was remembered holds no more"
    state = model.head_state()
    assert not [key for key in state if key.startswith("backbone") and key.endswith("weight")]
    other.load_head_state(state)
    assert torch.equal(other.eval()(episodes).logits, moved)


def test_the_supports_mask_can_be_left_out_on_either_side_of_layer4():
    episodes = random_episodes(batch=2, shot=2, size=33)
    backbone = tiny_backbone()
    masks = (episodes.support_masks[:, 0] == 1).float()
    images = backbone.preprocess(episodes.support_images.flatten(0, 2))
    query = backbone.stages(backbone.preprocess(episodes.query_image)).layer4
    layer3 = backbone.stages(images).layer3
    soft = resize(masks.flatten(0, 1)[:, None], layer3.shape[-2:])
    for where, seen in (("both", soft), ("before", soft), ("after", torch.ones_like(soft))):
        config = PFENetConfig.preset("scenes", dim=8, support_mask=where)
        layer4 = backbone.last(layer3 * seen).unflatten(0, (2, 2))
        expected = prior_mask(query, layer4, torch.ones_like(masks) if where == "before" else masks)
        maps = PFENet(backbone, config).eval()(episodes).maps
        torch.testing.assert_close(maps["prior_per_shot"], expected[1])
    with pytest.raises(ValueError, match="support_mask='behind'"):
        PFENetConfig.preset("scenes", support_mask="behind")


def test_empty_support_mask_gives_a_zero_prior_and_finite_logits():
    episodes = random_episodes(batch=1, shot=1, size=33)
    episodes.support_masks.zero_()
    prediction = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8)).eval()(episodes)
    assert prediction.maps["prior"].abs().max() == 0
    assert torch.isfinite(prediction.logits).all()


def test_two_way_episodes_are_refused_in_words():
    model = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8))
    with pytest.raises(ValueError, match="2-way episodes; use way=1"):
        model(random_episodes(batch=1, shot=1, size=33, way=2))


def test_head_state_round_trip_and_mismatch():
    model = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8))
    state = model.head_state()
    assert not any(key.startswith("backbone.") for key in state)
    other = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8))
    other.load_head_state(state)
    assert torch.equal(other.classifier[3].weight, model.classifier[3].weight)
    with pytest.raises(ValueError, match="classifier"):
        other.load_head_state({k: v for k, v in state.items() if "classifier" not in k})


def test_half_precision_stays_close_and_finite():
    model = PFENet(tiny_backbone(), PFENetConfig.preset("scenes", dim=8)).eval()
    episodes = random_episodes(batch=2, shot=1, size=65)
    whole = model(episodes)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(episodes)
        loss = model.loss(half, episodes)
    assert half.maps["prior"].dtype == torch.float32
    torch.testing.assert_close(half.logits.float(), whole.logits, atol=0.05, rtol=0.1)
    for name, value in model.loss(whole, episodes).items():
        assert loss[name].dtype == torch.float32
        assert loss[name].item() == pytest.approx(value.item(), rel=0.05)
