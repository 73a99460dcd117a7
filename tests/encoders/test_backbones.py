"""Backbones: taps, dilation, loading, and what happens when weights cannot be had."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from fsslib.encoders import BACKBONES, WeightsError, build_backbone, groups
from fsslib.encoders.backbones import load_backbone_state
from fsslib.encoders.identity import network_digest
from fsslib.encoders.resnet import ResNet
from fsslib.encoders.weights import seen_by

IMAGE = torch.randint(256, (1, 3, 65, 65), dtype=torch.uint8)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_taps_three_stages(name):
    backbone = build_backbone(name, "random")
    with torch.no_grad():
        stages = backbone(IMAGE)
    assert tuple(stage.shape[1] for stage in stages) == backbone.channels
    cells = {stage.shape[-1] for stage in stages}
    assert cells == ({8, 4} if name.startswith("vgg") else {9})
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone.train().training


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_dilation_is_on_every_conv2(name):
    backbone = build_backbone(name, "random")
    for stage, dilation in ((backbone.layer3, 2), (backbone.layer4, 4)):
        for block in stage:
            assert block.conv2.dilation == block.conv2.padding == (dilation, dilation)
            assert block.conv2.stride == block.conv1.stride == (1, 1)
    first = torchvision.models.resnet50(
        weights=None, replace_stride_with_dilation=[False, True, True]
    ).layer4[0]
    assert first.conv2.dilation == (2, 2), "torchvision's switch differs, which is why we dilate"


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_undilated_resnet_equals_torchvision(name):
    torch.manual_seed(0)
    reference = getattr(torchvision.models, name)(weights=None).eval()
    backbone = build_backbone(name, "random", dilated=False)
    load_backbone_state(backbone, reference.state_dict())
    taps = {}
    for layer in ("layer2", "layer3", "layer4"):
        getattr(reference, layer).register_forward_hook(
            lambda _, __, output, layer=layer: taps.update({layer: output})
        )
    inputs = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        reference(inputs)
        stages = backbone.stages(inputs)
    for layer, tap in taps.items():
        # Another memory layout sums in another order.
        torch.testing.assert_close(getattr(stages, layer), tap, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg_equals_torchvision(batch_norm):
    torch.manual_seed(0)
    name = "vgg16_bn" if batch_norm else "vgg16"
    reference = getattr(torchvision.models, name)(weights=None).eval()
    backbone = build_backbone(name, "random")
    load_backbone_state(backbone, reference.state_dict())
    inputs = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        # Everything but the last max-pool, which no method reads.
        expected = reference.features[:-1](inputs)
        torch.testing.assert_close(backbone.stages(inputs).layer4, expected)


def test_deep_stem_release_keys_load():
    backbone = build_backbone("resnet50-v2", "random")
    index = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}
    released = {
        (f"{index[key.split('.')[1]]}.{key.split('.')[2]}" if key.startswith("stem") else key): v
        for key, v in backbone.state_dict().items()
    }
    other = build_backbone("resnet50-v2", "random")
    load_backbone_state(other, {**released, "fc.weight": torch.zeros(1000, 2048)})
    assert torch.equal(other.stem[6].weight, backbone.stem[6].weight)
    with pytest.raises(WeightsError, match="needs resnet50-v2"):
        load_backbone_state(build_backbone("resnet50", "random"), released)


def test_checkpoints_load_from_files_in_their_usual_wrappings(tmp_path):
    state = build_backbone("scenes-resnet", "random").state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pth")
    save_file(
        {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()},
        tmp_path / "b.safetensors",
    )
    for name in ("a.pth", "b.safetensors"):
        loaded = build_backbone("scenes-resnet", tmp_path / name).state_dict()
        for key, value in state.items():
            torch.testing.assert_close(loaded[key], value, atol=1e-3, rtol=1e-3)


def test_weights_that_cannot_be_had_are_one_clear_error(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match=r"neither a file nor a known tag.*imagenet.*random"):
        build_backbone("resnet50", "imagenett")
    (tmp_path / "broken.safetensors").write_bytes(b"not tensors")
    with pytest.raises(WeightsError, match=r"broken\.safetensors"):
        build_backbone("resnet50", tmp_path / "broken.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"not tensors")
    with pytest.raises(WeightsError, match=r"broken\.pth"):
        build_backbone("resnet50", tmp_path / "broken.pth")

    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match=r"holds a Tensor; expected tensors by name"):
        build_backbone("resnet50", tmp_path / "tensor.pth")
    torch.save({"whole": Path("a pickled object")}, tmp_path / "foreign.pth")
    with pytest.raises(WeightsError, match="not a plain file of tensors") as caught:
        build_backbone("resnet50", tmp_path / "foreign.pth")
    assert "weights_only" not in str(caught.value), "no advice to trust a stranger's file"
    state = build_backbone("scenes-resnet", "random").state_dict()
    state["stem.0.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"not finite in \['stem.0.weight'\]"):
        build_backbone("scenes-resnet", tmp_path / "nan.pth")

    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError, match=r"could not be downloaded.*scenes-resnet"):
        build_backbone("resnet50", "imagenet")


def test_images_are_never_normalised_twice():
    backbone = build_backbone("scenes-resnet", "random")
    with pytest.raises(TypeError, match="uint8"):
        backbone(IMAGE.float() / 255)


def test_official_bn_lets_the_statistics_move():
    backbone = build_backbone("scenes-resnet", "random")
    backbone = backbone.copied(moving_statistics=True)
    assert backbone.train().training
    assert isinstance(backbone, ResNet) and isinstance(backbone.stem[1], nn.BatchNorm2d)
    assert backbone.stem[1].training


def test_a_checkpoint_of_moco_gives_its_key_encoder_or_the_one_there_is(tmp_path):
    names = {"stem.0": "conv1", "stem.1": "bn1"}
    encoders = {name: build_backbone("scenes-moco", "random") for name in ("q", "k")}
    state = {"module.queue": torch.zeros(8, 16)}
    for name, backbone in encoders.items():
        for key, value in backbone.state_dict().items():
            stem = ".".join(key.split(".")[:2])
            official = key.replace(stem, names.get(stem, stem), 1)
            state[f"module.encoder_{name}.{official}"] = value
        state[f"module.encoder_{name}.fc.0.weight"] = torch.zeros(4, 4)
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "moco.pth.tar")
    loaded = build_backbone("scenes-moco", tmp_path / "moco.pth.tar").state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in encoders["k"].state_dict().items())
    assert not torch.equal(loaded["stem.0.weight"], encoders["q"].state_dict()["stem.0.weight"])
    query = build_backbone("scenes-moco", tmp_path / "moco.pth.tar", encoder="query").state_dict()
    assert all(torch.equal(query[k], v) for k, v in encoders["q"].state_dict().items())
    lean = {key: value for key, value in state.items() if "encoder_k" not in key}
    torch.save({"state_dict": lean}, tmp_path / "lean.pth.tar")
    with pytest.warns(UserWarning, match="holds no key encoder; read is its query one"):
        only = build_backbone("scenes-moco", tmp_path / "lean.pth.tar").state_dict()
    assert all(torch.equal(only[k], v) for k, v in query.items())


def test_both_sets_of_embedded_weights_load_side_by_side():
    first, second = (build_backbone("scenes-resnet", tag) for tag in ("scenes", "scenes-single"))
    assert repr(first) == repr(second)
    assert network_digest(first) != network_digest(second)
    assert all("no masks" in seen_by("scenes-resnet", tag) for tag in ("scenes", "scenes-single"))
    assert seen_by("scenes-resnet", "random") is None
    with pytest.raises(WeightsError, match=r"\['scenes', 'scenes-single', 'random'\]"):
        build_backbone("scenes-resnet", "single")


def test_large_pictures_go_one_by_one_and_come_out_the_same(monkeypatch):
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", "random")
    pictures, mask = torch.randn(5, 3, 33, 33), (torch.rand(5, 1, 5, 5) > 0.5).float()

    def features() -> list[torch.Tensor]:
        layer2, layer3 = backbone.middle(pictures)
        return [layer2, layer3, backbone.last(layer3), backbone.last(layer3, mask)]

    together, sizes = features(), []
    backbone.layer1.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    monkeypatch.setattr(groups, "GROUP_NUMBERS", 2 * pictures[0].numel())
    torch.testing.assert_close(features(), together, atol=1e-5, rtol=1e-4)
    assert sizes == [2, 2, 1]
    torch.testing.assert_close(together[3], backbone.last(together[1] * mask))
    backbone = backbone.copied(moving_statistics=True).train()
    backbone.layer1.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    features()
    assert sizes[-1] == 5, "BatchNorm learns from the whole batch"


def test_compiled_stages_are_the_same_network():
    """Nothing is compiled before the first pass; `fsslib.runs` tries a small one first."""
    backbone = build_backbone("resnet18", "random")
    digest, names = backbone.digest, list(backbone.state_dict())
    backbone.compile_stages()
    assert backbone.digest == network_digest(backbone) == digest
    assert list(backbone.copied().state_dict()) == names
