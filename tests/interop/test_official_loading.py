"""Round trips: tiny networks in official spelling, and heads of either kind into a method."""

import pytest
import torch
from stand_ins import random_episodes, tiny_backbone
from torch import nn

from fsslib.encoders import WeightsError
from fsslib.interop.building import build_official
from fsslib.interop.heads import brought_parts, load_head, untrained_base
from fsslib.interop.official import OfficialMisfit, load_official, official_state
from fsslib.methods import build_method
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.n_way import OneVersusRest

CLASSES = (1, 4, 9)
SMALL = {
    "pfenet": {"dim": 8, "scales": (1, 0.5, 0.25, 0.125)},
    "qgnet": {"dim": 8, "scales": (1, 0.5, 0.25, 0.125)},
    "asgnet": {"dim": 8, "scales": (1, 0.5, 0.25, 0.125)},
    "bam": {"dim": 8, "shot": 2},
    "hdmnet": {"reduce_dim": 8, "dim": 16, "shot": 2},
    "hsnet": {},
}


def make(name: str, seed: int = 0) -> FewShotSegmenter:
    """A tiny method with random weights."""
    torch.manual_seed(seed)
    backbone = tiny_backbone(seed, dilated=name != "hsnet")
    parts = {"extractor": tiny_backbone(seed + 1)} if name == "qgnet" else {}
    if name in ("bam", "hdmnet"):
        parts["base"] = base_learner(backbone)
    preset = "official" if name == "hdmnet" else "paper"
    return build_method(name, backbone, preset, **parts, **SMALL[name])


def base_learner(backbone) -> BaseLearner:
    config = BaseLearnerConfig.preset("paper", dim=16, train_backbone=False)
    return BaseLearner(backbone, CLASSES, config)


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_saved_in_official_names_predicts_the_same(name, tmp_path):
    model, path = make(name).eval(), tmp_path / "official.pth"
    state = {f"module.{key}": value for key, value in official_state(model).items()}
    torch.save({"epoch": 1, "state_dict": state, "optimizer": {"state": {}}}, path)
    settings = {"scales": SMALL[name]["scales"]} if "scales" in SMALL[name] else {}
    if "base" in brought_parts(path):
        settings["class_ids"] = CLASSES
    before = torch.random.get_rng_state()
    again = build_official(path, **settings)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(again) is type(model)
    assert not again.training
    episodes = random_episodes(batch=1, shot=SMALL[name].get("shot", 1), size=65)
    with torch.no_grad():
        assert torch.equal(again(episodes).logits, model(episodes).logits)


@pytest.mark.parametrize("name", SMALL)
def test_an_official_head_brings_its_parts_and_leaves_those_of_others_alone(name):
    source, method = make(name).eval(), make(name, seed=7)
    backbone = method.backbone
    before = values(backbone)
    assert load_head(OneVersusRest(method), official_state(source)).training is False
    assert equal(values(method), values(source))
    assert method.backbone is not backbone
    assert equal(values(backbone), before)
    assert not any(p.requires_grad for p in method.backbone.parameters())


def test_a_head_of_ours_leaves_the_backbone():
    source, method = make("bam"), make("bam", seed=7)
    backbone, before = method.backbone, values(method.backbone)
    load_head(method, source.head_state())
    assert method.backbone is backbone
    assert equal(values(backbone), before)
    assert equal(method.head_state(), source.head_state())


class WithANet(FewShotSegmenter):
    """A method whose every key begins as a wrapper's could."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 2, 1)

    def forward(self, episodes):
        raise NotImplementedError


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_part_that_is_called_like_a_wrapper_is_none(prefix):
    source, method = WithANet(), WithANet()
    load_head(method, {prefix + key: value for key, value in source.head_state().items()})
    assert equal(values(method), values(source))


def test_heads_that_do_not_fit():
    base = base_learner(tiny_backbone())
    bam = build_method("bam", tiny_backbone(), "paper", base=base, dim=8)
    with pytest.raises(OfficialMisfit, match="build the model with shot=2"):
        load_head(bam, official_state(make("bam")))
    pfenet = build_method("pfenet", tiny_backbone(), "paper", dim=4)
    with pytest.raises(ValueError, match="weights do not fit PFENet"):
        load_head(pfenet, make("pfenet").head_state())
    panet = build_method("panet", tiny_backbone(), "paper")
    with pytest.raises(OfficialMisfit, match="is no head of PANet, but asgnet: backbone="):
        load_head(panet, official_state(make("asgnet")))


def test_values_that_are_not_finite_are_refused():
    state = official_state(make("asgnet"))
    state["down_conv.0.weight"] = torch.full_like(state["down_conv.0.weight"], torch.inf)
    with pytest.raises(WeightsError, match=r"not finite in \['down_conv\.0\.weight'\]"):
        load_official(make("asgnet"), state)


def test_a_base_learner_is_made_for_an_official_head_to_fill():
    state = official_state(make("hdmnet"))
    assert brought_parts(state) == ("backbone", "base")
    assert brought_parts(make("hdmnet").head_state()) == ()
    base = untrained_base(tiny_backbone(), (2, 5, 6), state)
    assert base.head.embed[0].out_channels == 16
    method = build_method("hdmnet", tiny_backbone(), "official", base=base, **SMALL["hdmnet"])
    load_head(method, state)
    assert method.base_classes == (2, 5, 6)
    assert torch.equal(method.base.classify[2].bias, state["base_learnear.2.bias"])
    with pytest.raises(OfficialMisfit, match="knows 3 base classes, and the run trains on 2"):
        untrained_base(tiny_backbone(), (1, 2), state)
    with pytest.raises(OfficialMisfit, match="holds no base learner"):
        untrained_base(tiny_backbone(), (1, 2), official_state(make("pfenet")))


def test_building_asks_for_what_a_file_does_not_say():
    with pytest.raises(OfficialMisfit, match="and does not say which: give fold="):
        build_official(official_state(make("bam")))
    with pytest.raises(OfficialMisfit, match="knows 3 base classes, and class_ids are 2"):
        build_official(official_state(make("bam")), class_ids=(1, 2))
    with pytest.raises(OfficialMisfit, match="fits no method here; nearest is"):
        build_official({"layer.weight": torch.ones(2)})
    state = {f"encoder_q.{key}": value for key, value in tiny_backbone().state_dict().items()}
    with pytest.raises(OfficialMisfit, match=r"is a checkpoint of the official MoCo.*no method"):
        build_official(state)
