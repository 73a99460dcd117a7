"""Backbones are values: whatever methods do that are given one, it says what it said before."""

import pytest
import torch
from stand_ins import random_episodes, tiny_backbone
from torch import nn

from fsslib.encoders import build_backbone
from fsslib.methods.asgnet import ASGNet, ASGNetConfig
from fsslib.methods.bam import BAM, BAMConfig
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.panet import PANet, PANetConfig
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.methods.qgnet import QGNet, QGNetConfig
from fsslib.methods.shipped import load_base_learner, save_head

CLASSES = (1, 2, 3)


def all_on(backbone):
    """Methods of every policy, built one after the other on one backbone."""
    pfenet, qgnet = PFENetConfig.preset("scenes", dim=8), QGNetConfig.preset("scenes", dim=8)
    learner = BaseLearner(backbone, CLASSES, BaseLearnerConfig(dim=8))
    return {
        "pfenet": PFENet(backbone, pfenet),
        "panet": PANet(backbone, PANetConfig.preset("scenes")),
        "base": learner,
        "official": PFENet(backbone, PFENetConfig.preset("scenes", dim=8, official_bn=True)),
        "asgnet": ASGNet(backbone, ASGNetConfig.preset("scenes", dim=8)),
        "qgnet": QGNet(backbone, backbone, qgnet),
        "bam": BAM(backbone, learner, BAMConfig.preset("scenes", dim=8)),
    }


def facts(backbone):
    """Tensors, what learns, and every module's mode and class."""
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    flags = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    modes = {name: (type(each), each.training) for name, each in backbone.named_modules()}
    return state, flags, modes


def assert_same(actual, expected):
    assert actual[1:] == expected[1:]
    assert all(torch.equal(value, expected[0][key]) for key, value in actual[0].items())


@torch.no_grad()
def answers(methods, episodes):
    return {name: method.eval()(episodes).logits for name, method in methods.items()}


def train_a_step(method, episodes):
    learning = [parameter for parameter in method.train().parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, 0.05)
    sum(method.loss(method(episodes), episodes).values()).backward()
    optimizer.step()
    optimizer.zero_grad()


def test_methods_on_one_backbone_do_not_meet():
    backbone, episodes = tiny_backbone(), random_episodes(2, 1, 33)
    alone = {name: all_on(tiny_backbone())[name] for name in ("pfenet",)}
    before = facts(backbone)
    methods = all_on(backbone)
    assert_same(facts(backbone), before)
    alone["pfenet"].load_state_dict(methods["pfenet"].state_dict())
    expected = answers(methods, episodes)
    assert torch.equal(answers(alone, episodes)["pfenet"], expected["pfenet"])
    for name, method in methods.items():
        train_a_step(method, episodes)
        assert_same(facts(backbone), before)
        current = answers(methods, episodes)
        changed = {other for other in methods if not torch.equal(current[other], expected[other])}
        assert changed == {name}, f"training {name} changed {changed}"
        expected = current


def test_who_trains_a_backbone_trains_a_copy():
    backbone = tiny_backbone()
    methods = all_on(backbone)
    owned = {name for name, method in methods.items() if method.backbone is not backbone}
    assert owned == {"panet", "base", "official"}
    learn = {
        name
        for name, method in methods.items()
        if any(parameter.requires_grad for parameter in method.backbone.parameters())
    }
    assert learn == {"panet", "base"}
    drifts = methods["official"].train().backbone
    assert drifts.training and not methods["pfenet"].train().backbone.training
    statistics = {key for key in methods["official"].head_state() if key.startswith("backbone.")}
    assert statistics and all("running" in key or "num_batches" in key for key in statistics)


def test_panet_dilates_its_own_vgg():
    backbone, episodes = build_backbone("vgg16", "random"), random_episodes(1, 1, 65)
    features, layers = backbone(episodes.query_image), repr(backbone)
    method = PANet(backbone)
    assert repr(backbone) == layers != repr(method.backbone)
    assert all(map(torch.equal, backbone(episodes.query_image), features))
    assert method.backbone.digest != backbone.digest


def test_a_base_learner_hands_out_the_backbone_that_it_trained(tmp_path):
    backbone, episodes = tiny_backbone(), random_episodes(2, 1, 33)
    learner = BaseLearner(backbone, CLASSES, BaseLearnerConfig())
    train_a_step(learner, episodes)
    save_head(learner, tmp_path / "base.safetensors", {})
    before = facts(backbone)
    loaded = load_base_learner(backbone, tmp_path / "base.safetensors", "paper")
    assert_same(facts(backbone), before)
    trained = loaded.backbone
    assert trained is not backbone and trained.frozen and not trained.train().training
    torch.testing.assert_close(
        trained.layer4[0].conv2.weight, learner.backbone.layer4[0].conv2.weight, atol=1e-3, rtol=0
    )
    assert not torch.equal(trained.layer4[0].conv2.weight, backbone.layer4[0].conv2.weight)


def test_a_head_that_still_learns_is_copied():
    learner = BaseLearner(tiny_backbone(), CLASSES, BaseLearnerConfig(dim=8, train_backbone=False))
    config = BAMConfig.preset("scenes", dim=8)
    method = BAM(learner.backbone, learner, config).train()
    assert all(parameter.requires_grad for parameter in learner.head.parameters())
    assert not any(parameter.requires_grad for parameter in method.base.parameters())
    frozen = learner.freeze()
    assert BAM(frozen.backbone, frozen, config).base is frozen.head


def test_a_frozen_backbone_refuses_to_learn():
    backbone = tiny_backbone()
    with pytest.raises(ValueError, match=r"frozen.*copied\(trainable=True\)"):
        backbone.requires_grad_(True)
    around = nn.Sequential(backbone).train()
    assert not backbone.training and not any(each.training for each in backbone.modules())
    copy = backbone.copied(trainable=True)
    assert not copy.training and nn.Sequential(copy).train()[0].training
    assert not copy.frozen and around[0].frozen and copy.freeze().frozen
