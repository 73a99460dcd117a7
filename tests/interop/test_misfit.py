"""A file that does not fit says which setting to build the model with."""

import pytest
import torch
from manifests import inferred, manifest
from torch import nn

from fsslib.interop.base_classes import released_classes
from fsslib.interop.facts import facts_of
from fsslib.interop.fitting import build
from fsslib.interop.official import OfficialMisfit, load_official
from fsslib.interop.parts import meta_backbone
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig


def model_of(name: str, **changes) -> nn.Module:
    """The model of a released file on the meta device, with changes."""
    facts = inferred(name).facts
    ids = released_classes(facts.classes, 0) if facts.classes else ()
    return build(facts, ids, on_meta=True, **changes)


def learner(classes: int, dim: int = 512) -> BaseLearner:
    with torch.device("meta"):
        config = BaseLearnerConfig.preset("paper", dim=dim, train_backbone=False)
        made = BaseLearner(meta_backbone("resnet50-v2"), range(classes), config)
    made.class_ids = torch.tensor(released_classes(classes, 0))
    return made


PFENET, BAM, HDMNET, QGNET = (
    *("pfenet_resnet50", "bam_resnet50_5shot_pascal"),
    *("hdmnet_resnet50_1shot_pascal", "qgnet_resnet50"),
)
MISFITS = {
    "stem": (PFENET, lambda: {"backbone": meta_backbone("resnet50")}, "backbone='resnet50-v2'"),
    "depth": (
        PFENET,
        lambda: {"backbone": meta_backbone("resnet101-v2")},
        "backbone='resnet50-v2'",
    ),
    "vgg": (PFENET, lambda: {"backbone": meta_backbone("vgg16_bn")}, "backbone='resnet50-v2'"),
    "hsnet depth": (
        "hsnet_resnet101",
        lambda: {"backbone": meta_backbone("resnet50", False)},
        "backbone='resnet101'",
    ),
    "hsnet vgg": (
        "hsnet_vgg16",
        lambda: {"backbone": meta_backbone("resnet50", False)},
        "backbone='vgg16'",
    ),
    "dim": (PFENET, lambda: {"dim": 128}, "dim=256"),
    "scales": (PFENET, lambda: {"scales": (60, 30)}, "scales= of 4 entries"),
    "asgnet dim": ("asgnet_resnet50_pyramid", lambda: {"dim": 64}, "dim=256"),
    "shot": (BAM, lambda: {"shot": 1}, "shot=5"),
    "rates": (BAM, lambda: {"rates": (6, 12)}, "rates= of 3 entries"),
    "classes": (BAM, lambda: {"base": learner(60)}, "a base learner of 15 classes"),
    "base dim": (BAM, lambda: {"base": learner(15, 128)}, "a base learner with dim=512"),
    "reduce_dim": (HDMNET, lambda: {"reduce_dim": 128}, "reduce_dim=256"),
    "heads": (HDMNET, lambda: {"heads": (2, 4), "reductions": (4, 2)}, "heads= of 3 entries"),
    "reductions": (HDMNET, lambda: {"reductions": (2, 2, 1)}, r"reductions=\(4, 2, 1\)"),
    "no prior": (HDMNET, lambda: {"prior": "none"}, "prior='own'"),
    "prior": ("piclip_resnet50_1shot_pascal", lambda: {"prior": "none"}, "prior='pi_clip'"),
    "prior's shot": ("piclip_resnet50_5shot_pascal", lambda: {"shot": 1}, "shot=5"),
    "projection": (QGNET, lambda: {"projection": "none"}, "projection='conv3x3'"),
    "extractor": (
        QGNET,
        lambda: {"extractor": meta_backbone("resnet50-v2")},
        "extractor='resnet50'",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_the_setting_that_is_wrong_is_named(case):
    name, changes, expected = MISFITS[case]
    model = model_of(name, **changes())
    with pytest.raises(OfficialMisfit, match=f"build the model with .*{expected}") as caught:
        load_official(model, manifest(name))
    assert caught.value.changes
    assert str(caught.value).index("build the model with") < str(caught.value).index("missing")


def test_only_what_differs_is_named():
    with pytest.raises(OfficialMisfit) as caught:
        load_official(model_of(PFENET, dim=64), manifest(PFENET))
    assert caught.value.changes == {"dim": "dim=256"}
    assert "it has dim=256, and the model dim=64" in str(caught.value)


def test_a_file_without_its_clip_says_so():
    name = "piclip_resnet50_1shot_pascal"
    bare = {k: v for k, v in manifest(name).items() if not k.startswith("clip_model.")}
    with pytest.raises(OfficialMisfit, match="it has no clip, and the model clip=ViT-B-16"):
        load_official(model_of(name), bare)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("asgnet_resnet50_pyramid", "is no PFENet but a ASGNet: build_official"),
        ("qgnet_resnet50", "is no PFENet but a QGNet"),
        ("moco_resnet50", "is no PFENet but a checkpoint of the official MoCo"),
        ("imr_hsnet_vgg16", "is no PFENet but IMR-HSNet"),
    ],
)
def test_a_file_of_another_network_is_called_by_its_name(name, expected):
    with pytest.raises(OfficialMisfit, match=expected):
        load_official(model_of(PFENET), manifest(name))


def test_what_no_setting_explains_is_told_by_its_keys():
    state = manifest(PFENET) | {"cls_aux.0.weight": torch.empty(1, device="meta")}
    with pytest.raises(OfficialMisfit, match=r"no setting explains it .*unknown \['cls_aux\.0"):
        load_official(model_of(PFENET), state)


def test_facts_of_a_file_and_of_its_model_are_the_same():
    for name in (BAM, HDMNET, QGNET, "hsnet_vgg16", "piclip_resnet50_5shot_pascal"):
        facts = inferred(name).facts
        again = facts_of(facts.kind, model_of(name).state_dict(), official=False)
        assert again.described() == facts.described()
