"""PANet, ASGNet and HSNet: their released code recorded, and what must hold of their parts.

The recordings ran the official code on the weights of `formula_weights` and the pictures of
`recorded_episodes`; every eighth or twelfth pixel of the logits was kept.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import GOLDEN, formula_weights, golden
from stand_ins import random_episodes, tiny_backbone
from torch import nn
from torchvision.models.resnet import Bottleneck

from fsslib.data.episode import Episode
from fsslib.encoders import WeightsError, build_backbone
from fsslib.encoders.blocks import block_counts, block_features
from fsslib.encoders.resnet import ResNet
from fsslib.interop.official import load_official
from fsslib.layers.hypercorrelation import CentrePivotConv4d, hypercorrelation
from fsslib.methods.asgnet import ASGNet, ASGNetConfig
from fsslib.methods.base import vote
from fsslib.methods.hsnet import HSNet
from fsslib.methods.panet import PANet


def recorded_episodes(size: int, shot: int) -> Episode:
    """The recordings' two episodes: seeded noise, square masks under a strip of 255."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 1 + shot, 3, size, size), dtype=np.uint8)
    images = torch.from_numpy(images)
    masks = torch.zeros(2, shot, size, size, dtype=torch.uint8)
    masks[0, :, 10 : size - 15, 20 : size - 10] = 1
    masks[1, :, size // 2 :, 5:40] = 1
    masks[:, :, :4] = 255
    episodes = random_episodes(2, shot, size)
    supports = images[:, 1:][:, None].contiguous()
    return replace(
        episodes, query_image=images[:, 0], support_images=supports, support_masks=masks[:, None]
    )


def official_weights(name: str, prefix: str = "") -> dict[str, torch.Tensor]:
    shapes = json.loads((GOLDEN / f"keys_{name}.json").read_text())
    return {prefix + key: value for key, value in formula_weights(shapes).items()}


def undilated(name: str = "resnet50"):
    return build_backbone(name, "random", dilated=False)


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_hsnet_is_the_released_one(name):
    method = HSNet(undilated(name)).eval()
    load_official(method, official_weights(f"hsnet_{name}", "module."))
    with torch.no_grad():
        logits = method(first_shot(recorded_episodes(97, 2))).logits
    assert_within(logits[:, :, ::8, ::8], golden("lfss/hsnet_official")[name])


@pytest.mark.parametrize("shot", [1, 2])
def test_asgnet_is_the_released_one(shot):
    config = ASGNetConfig.preset("official", scales=(16, 8), area_per_seed=30)
    method = ASGNet(build_backbone("resnet50-v2", "random"), config).eval()
    names = official_weights("asgnet_resnet50_pyramid")
    levels = ("corr_conv.", "beta_conv.", "inner_cls.", "alpha_conv.", "res1.")
    selected = {key: value for key, value in names.items() if not key.startswith(levels)}
    fewer = {key: list(v.shape) for key, v in method.state_dict().items() if key.startswith("fem.")}
    for key, shape in fewer.items():  # the recording has two scales, the manifest four
        for ours, its in zip(("merge", "beta", "inner", "alpha", "fuse"), levels, strict=True):
            if key.startswith(f"fem.{ours}."):
                official = its + key.removeprefix(f"fem.{ours}.")
                selected |= formula_weights({official: shape})
    load_official(method, selected)
    with torch.no_grad():
        logits = method(recorded_episodes(129, shot)).logits
    assert_within(logits[:, :, ::12, ::12], golden("lfss/asgnet_official")[f"{shot}shot"], 5e-5)


def test_panet_is_the_released_one():
    """Its VGG-16 with overlapping pools; logits and the alignment loss."""
    method = PANet(build_backbone("vgg16", "random"))
    shapes = panet_shapes(method)
    load_official(method, formula_weights(shapes), tuple(panet_names(method).items())).train()
    recorded, episodes = golden("lfss/panet_official"), recorded_episodes(65, 2)
    prediction = method(episodes)
    assert_within(prediction.logits[:, :, ::8, ::8], recorded["logits"], 2e-4)
    assert_within(method.loss(prediction, episodes)["alignment"], recorded["alignment"], 1e-5)


def panet_names(method: PANet) -> dict[str, str]:
    """PANet's encoder numbers its convolutions within five groups, pools between them."""
    names = {}
    stages = ("stem", "layer1", "layer2", "layer3", "layer4")
    for group, stage in enumerate(stages):
        for index, module in enumerate(getattr(method.backbone, stage)):
            if isinstance(module, nn.Conv2d):
                official = f"encoder.backbone.features.{2 * group}.{index}."
                names[rf"backbone\.{stage}\.{index}\."] = official
    return names


def panet_shapes(method: PANet) -> dict[str, list[int]]:
    shapes = {}
    for pattern, official in panet_names(method).items():
        own = pattern.replace("\\", "")
        for leaf in ("weight", "bias"):
            shapes[official + leaf] = list(method.state_dict()[own + leaf].shape)
    return shapes


def first_shot(episodes: Episode) -> Episode:
    images, masks = episodes.support_images, episodes.support_masks
    return replace(episodes, support_images=images[:, :, :1], support_masks=masks[:, :, :1])


def assert_within(actual, expected, tolerance: float = 1e-5):
    torch.testing.assert_close(actual.detach(), expected, atol=tolerance, rtol=1e-4)


def test_official_keys_are_all_used():
    asgnet = ASGNet(build_backbone("resnet50-v2", "random"), ASGNetConfig.preset("paper"))
    names = official_weights("asgnet_resnet50_pyramid")
    load_official(asgnet, names)
    with pytest.raises(WeightsError, match=r"unknown \['cls_aux\.0\.weight'\]"):
        load_official(asgnet, names | {"cls_aux.0.weight": torch.zeros(1)})
    hsnet = HSNet(undilated("vgg16"))
    names = official_weights("hsnet_vgg16")
    names.pop("hpn_learner.decoder1.0.bias")
    with pytest.raises(WeightsError, match=r"missing \['hpn_learner\.decoder1\.0\.bias'\]"):
        load_official(hsnet, names)


def test_a_centre_pivot_is_a_4d_kernel_with_a_cross_of_planes():
    """Entry by entry: sum over the query's neighbours at the support's cell, and the reverse."""
    torch.manual_seed(0)
    layer = CentrePivotConv4d(2, 3, kernel=3, stride=2).double()
    maps = torch.rand(1, 2, 4, 5, 5, 4, dtype=torch.float64)
    output = layer(maps)
    assert output.shape == (1, 3, 4, 5, 3, 2)
    padded = F.pad(maps, (1, 1) * 4)
    for i, j, k, m in ((0, 0, 0, 0), (2, 3, 1, 1), (3, 4, 2, 0)):
        y, x = 2 * k + 1, 2 * m + 1  # the support's cell in the padded maps
        over_query = (layer.query.weight * padded[0, :, i : i + 3, j : j + 3, y, x]).sum((1, 2, 3))
        window = padded[0, :, i + 1, j + 1, y - 1 : y + 2, x - 1 : x + 2]
        over_support = (layer.support.weight * window).sum((1, 2, 3))
        expected = over_query + layer.query.bias + over_support + layer.support.bias
        torch.testing.assert_close(output[0, :, i, j, k, m], expected)


def test_hypercorrelations_are_cosines_without_the_negative_ones():
    query, support = torch.randn(2, 6, 3, 4), torch.randn(2, 6, 5, 2)
    maps = hypercorrelation([query, query], [support, -support])
    cosine = F.cosine_similarity(query[:, :, 1, 2], support[:, :, 4, 0])
    torch.testing.assert_close(maps[:, 0, 1, 2, 4, 0], cosine.clamp(min=0), atol=1e-4, rtol=0)
    torch.testing.assert_close(maps[:, 1, 1, 2, 4, 0], (-cosine).clamp(min=0), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("resnet50", (4, 6, 3)), ("vgg16", (3, 3, 1)), ("scenes-resnet", (2, 2, 2))],
)
def test_features_of_every_block(name, counts):
    backbone = undilated(name)
    assert block_counts(backbone) == counts
    with torch.no_grad():
        levels = block_features(backbone, torch.randn(1, 3, 97, 97))
        assert tuple(map(len, levels)) == counts
        assert min(level[-1].min() for level in levels[: 2 if name == "vgg16" else 3]) < 0
        if name != "vgg16":
            inputs = torch.randn(1, 3, 97, 97)
            last = block_features(backbone, inputs)[2][-1].relu()
            torch.testing.assert_close(last, backbone.stages(inputs).layer4)


def test_hsnet_refuses_a_dilated_backbone():
    with pytest.raises(ValueError, match="dilated=False"):
        HSNet(build_backbone("resnet50", "random"))


def test_votes_count_against_the_most():
    margins = torch.full((1, 4, 1, 4), -1.0)
    margins[0, :2, 0, 0] = margins[0, :1, 0, 1] = 1.0
    assert (vote(margins)[0, 0] > 0).tolist() == [True, True, False, False]
    margins[0, :, 0, 3] = 1.0
    assert (vote(margins)[0, 0] > 0).tolist() == [True, False, False, True]


def test_votes_of_two_classes_can_be_compared():
    """The class that more shots see is ahead, and between equal ones the surer."""
    all_five, stray = torch.full((1, 5, 1, 1), 0.1), torch.full((1, 5, 1, 1), -1.0)
    stray[0, 0] = 9.0
    assert vote(all_five).item() > vote(stray).item() > 0
    surer = torch.full((1, 5, 1, 1), 0.2)
    assert vote(surer).item() > vote(all_five).item()


def tiny(name: str, **changes):
    """A method on a small random backbone."""
    torch.manual_seed(0)
    if name == "hsnet":
        backbone = ResNet(Bottleneck, (1, 1, 1, 1), width=4, dilated=False).freeze()
        return HSNet(backbone)
    if name == "panet":
        return PANet(tiny_backbone())
    settings = {"dim": 16, "scales": (1, 0.5), "area_per_seed": 6, **changes}
    return ASGNet(tiny_backbone(), ASGNetConfig(**settings))


@pytest.mark.parametrize("name", ["panet", "asgnet", "hsnet"])
def test_rows_train_and_their_heads_are_complete(name):
    episodes, method = recorded_episodes(65, 2), tiny(name).train()
    loss = sum(method.loss(method(episodes), episodes).values())
    loss.backward()
    trained = [p.grad is not None for p in method.parameters() if p.requires_grad]
    assert all(trained)
    other = tiny(name)
    for parameter in other.parameters():
        parameter.data += 1
    before = method.eval()(episodes).logits
    other.load_state_dict(
        {k: v for k, v in method.state_dict().items() if k.split(".")[0] in method.frozen},
        strict=False,
    )
    other.load_head_state(method.head_state())
    torch.testing.assert_close(other.eval()(episodes).logits, before)


def test_panet_segments_several_classes_and_keeps_its_statistics():
    episodes, method = random_episodes(2, 2, 33, way=3), tiny("panet").train()
    statistics = method.backbone.layer2[0].bn1.running_mean.clone()
    prediction = method(episodes)
    assert prediction.logits.shape == (2, 4, 33, 33)
    assert prediction.auxiliary_logits[0].shape[:4] == (2, 3, 2, 2)
    assert torch.equal(method.backbone.layer2[0].bn1.running_mean, statistics)
    assert "alignment" not in method.eval().loss(method(episodes), episodes)


def test_asgnet_gives_each_cell_its_nearest_prototype():
    episodes, method = recorded_episodes(65, 1), tiny("asgnet").eval()
    maps = method(episodes).maps
    assert maps["guide"].max() >= 1, "several prototypes, and more than one is used"
    single = tiny("asgnet", area_per_seed=1000).eval()(episodes).maps
    assert single["guide"].max() == 0
