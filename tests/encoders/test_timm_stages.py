"""CNNs of timm as stage backbones: the same features, cut into stages that methods can use."""

from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import save_file
from stand_ins import random_episodes

from fsslib.encoders import (
    BACKBONES,
    WeightsError,
    build_backbone,
    is_backbone,
    require_backbone,
    timm_stages,
)
from fsslib.encoders.blocks import block_counts
from fsslib.methods import build_method

SMALL = ("resnet18", "convnext_atto", "regnetx_002", "mobilenetv3_small_050")
"""Feature lists of modules and of flattened stages; and timm's extractor of EfficientNets."""
IMAGE = torch.randint(256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_stages_are_timms_own_features(name, dilated):
    backbone = build_backbone(f"timm/{name}", "random", dilated)
    options = {"output_stride": 8} if dilated else {}
    network = timm.create_model(name, features_only=True, **options).eval()
    state = backbone.from_timm(network.state_dict())
    assert state.keys() == backbone.state_dict().keys()
    backbone.load_state_dict(state)
    with torch.no_grad():
        inputs = backbone.preprocess(IMAGE)
        stages, expected = backbone.stages(inputs), network(inputs)[-3:]
    for stage, feature in zip(stages, expected, strict=True):
        # Another memory layout sums in another order.
        torch.testing.assert_close(stage, feature, atol=1e-3, rtol=1e-3)
    assert tuple(stage.shape[1] for stage in stages) == backbone.channels
    assert [stage.shape[-1] for stage in stages] == ([12, 12, 12] if dilated else [12, 6, 3])
    assert backbone.frozen and not backbone.train().training


@pytest.mark.parametrize("name", SMALL)
def test_pfenet_trains_a_step_on_it(name):
    backbone = build_backbone(f"timm/{name}", "random", dilated=name != "regnetx_002")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    model = build_method("pfenet", backbone, "scenes", dim=8).train()
    episodes = random_episodes(batch=2, shot=1, size=65)
    head = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(head, 0.1)
    sum(model.loss(model(episodes), episodes).values()).backward()
    assert all(parameter.grad is not None for parameter in head)
    optimizer.step()
    assert model.eval()(episodes).logits.isfinite().all()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_keys_tell_models_dilation_and_statistics_apart():
    keys = []
    for name, dilated in [("convnext_atto", True), ("convnext_atto", False), ("resnet18", True)]:
        torch.manual_seed(0)
        keys.append(build_backbone(f"timm/{name}", "random", dilated).digest)
    torch.manual_seed(0)
    other = build_backbone("timm/convnext_atto", "random")
    assert other.digest == keys[0]
    other.mean += 0.1
    assert len({*keys, other.digest}) == 4


def test_pictures_are_normalised_as_the_tag_says():
    plain = build_backbone("timm/mobilenetv3_small_050", "random")
    assert plain.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    other = build_backbone("timm/tf_mobilenetv3_small_minimal_100.in1k", "random")
    assert other.mean.flatten().tolist() == pytest.approx([0.5] * 3)
    assert other.preprocess(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).max() == 1


def test_files_with_timms_names_or_our_own_load(tmp_path):
    whole = timm.create_model("convnext_atto")
    torch.save(whole.state_dict(), tmp_path / "timms.pth")
    backbone = build_backbone("timm/convnext_atto", tmp_path / "timms.pth")
    assert torch.equal(backbone.layer4.stages_3.blocks[0].gamma, whole.stages[3].blocks[0].gamma)
    state = {key: value.contiguous() for key, value in backbone.state_dict().items()}
    save_file(state, tmp_path / "own.safetensors")
    again = build_backbone("timm/convnext_atto", tmp_path / "own.safetensors")
    assert again.digest == backbone.digest
    lean = {
        key: value for key, value in whole.state_dict().items() if "stages.2.blocks.1" not in key
    }
    torch.save(lean, tmp_path / "lean.pth")
    with pytest.raises(WeightsError, match=r"missing \['layer3.stages_2.blocks.1"):
        build_backbone("timm/convnext_atto", tmp_path / "lean.pth")


def test_weights_are_downloaded_only_when_asked_for(monkeypatch):
    downloads, create = [], timm.create_model

    def hub(name, pretrained=False, **options):
        if pretrained:
            downloads.append(name)
        return create(name, **options)

    monkeypatch.setattr(timm_stages, "timm", SimpleNamespace(**{**vars(timm), "create_model": hub}))
    build_backbone("timm/resnet18", "random")
    assert not downloads
    for weights in ("timm", "fb_ssl_yfcc100m_ft_in1k"):
        build_backbone("timm/resnet18", weights)
    build_backbone("timm/resnet18.tv_in1k", "timm")
    usual = timm.models.get_pretrained_cfg("resnet18").tag
    tags = [usual, "fb_ssl_yfcc100m_ft_in1k", "tv_in1k"]
    assert downloads == [f"resnet18.{tag}" for tag in tags]

    def refuse(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host")
        return create(name, **options)

    timm_stages.timm.create_model = refuse
    with pytest.raises(WeightsError, match=r"no route to host.*elsewhere.*scenes-resnet"):
        build_backbone("timm/resnet18", "timm")
    with pytest.raises(WeightsError, match=r"neither a file nor a known tag.*'timm'.*'tv_in1k'"):
        build_backbone("timm/resnet18", "imagenet")


@pytest.mark.parametrize(
    ("name", "dilated", "message"),
    [
        ("vit_tiny_patch16_224", False, r"features at strides \[16, 16, 16\]"),
        ("hrnet_w18_small", False, "is no chain of stages"),
        ("densenet121", True, "gives no features at output stride 8; build it with dilated=False"),
        ("swin_tiny_patch4_window7_224", False, "cannot be cut into stages"),
    ],
)
def test_what_has_no_stages_is_refused(name, dilated, message):
    with pytest.raises(ValueError, match=f"timm/{name} {message}|timm/{name} has {message}"):
        build_backbone(f"timm/{name}", "random", dilated)


def test_names_are_checked_in_one_place():
    known = [*BACKBONES, "timm/resnet18", "timm/resnet18.tv_in1k"]
    assert all(map(is_backbone, known))
    unknown = ["resnet26d", "timm/", "timm/resnet1", "timm/resnet18.nobody", "resnet18/timm"]
    assert not any(map(is_backbone, unknown))
    with pytest.raises(ValueError, match=r"extractor='timm/convnext_atom': .*timm/convnext_atto"):
        require_backbone("timm/convnext_atom", "extractor")
    with pytest.raises(ValueError, match=r"backbone='resnet-50'.*did you mean resnet50"):
        build_backbone("resnet-50", "random")


def test_methods_that_cannot_read_it_say_so():
    undilated = build_backbone("timm/resnet18", "random", dilated=False)
    with pytest.raises(ValueError, match="TimmStages: HSNet reads every block"):
        build_method("hsnet", undilated, "scenes")
    with pytest.raises(ValueError, match="TimmStages"):
        block_counts(undilated)
    with pytest.raises(ValueError, match=r"no features on one grid.*dilated=True"):
        build_method("asgnet", undilated, "scenes")(random_episodes(1, 1, 65))
