"""`python -m fsslib.interop inspect`."""

import argparse

import pytest
import torch
from hostile.weights import HOSTILE, Scripted, script
from manifests import manifest, zeros

from fsslib.files import PACKAGE
from fsslib.interop.__main__ import main

HEADS, ENCODERS = PACKAGE / "methods" / "weights", PACKAGE / "encoders" / "weights"


def inspected(capsys, *files) -> tuple[int, str, str]:
    status = main(["inspect", *map(str, files)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bam_resnet50_5shot_pascal", ("released BAM", "shot=5", 'method="bam preset=', "fold2")),
        (
            "piclip_resnet50_1shot_pascal",
            ("HDMNet with prior=pi_clip", 'clip="ViT-B-16-quickgelu', "fit=stretch"),
        ),
        ("qgnet_resnet50", ("released QGNet", "brings backbone, extractor", "head=")),
        ("pspnet_base_resnet50_coco", ("60 base classes", 'parts="base=')),
        ("asgnet_resnet50_aspp", ("lacks  this decoder is not built",)),
        ("clip_dinoiser", ("fits   -p parts=", "heads=")),
    ],
)
def test_released_files_are_told_with_their_command(name, expected, tmp_path, capsys):
    path = tmp_path / f"fold2_{name}.pth"
    torch.save({"epoch": 1, "state_dict": zeros(manifest(name))}, path)
    status, out, _ = inspected(capsys, path)
    assert status == 0
    assert 'under "state_dict"' in out
    for words in expected:
        assert words in out


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (HEADS / "pfenet-scenes10i-f1.safetensors", "method=pfenet -p fold=1 -p shot=1 -p head="),
        (HEADS / "hdmnet+pi_clip-scenes10i-f0.safetensors", '-p prior="pi_clip"'),
        (HEADS / "base-scenes10i-f0.safetensors", 'parts="base='),
        (HEADS / "dinoiser-scenes.safetensors", 'parts="heads='),
        (ENCODERS / "scenes-clip-vit.safetensors", "a CLIP of this package: scenes-clip-vit"),
        (ENCODERS / "scenes-resnet.safetensors", 'backbone="scenes-resnet weights='),
        (ENCODERS / "scenes-dino.safetensors", "Vision Transformer (DINO, timm): width 128"),
    ],
)
def test_files_of_the_package_are_told(path, expected, capsys):
    status, out, _ = inspected(capsys, path)
    assert (status, expected in out) == (0, True), out


def test_a_head_without_its_card_is_told_by_its_keys(tmp_path, capsys):
    for name in ("pfenet", "hdmnet"):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes((HEADS / f"{name}-scenes10i-f0.safetensors").read_bytes())
        _, out, _ = inspected(capsys, path)
        assert f"a head of {name} in fsslib's names" in out
        assert "lacks  which backbone" in out


def test_an_unknown_file_shows_its_first_keys_and_the_nearest(tmp_path, capsys):
    path = tmp_path / "other.pth"
    torch.save({"net": {"a.weight": torch.ones(2), "b.weight": torch.ones(3)}}, path)
    status, out, _ = inspected(capsys, path)
    assert status == 0
    assert "nothing that is known here; its first keys are ['a.weight', 'b.weight']" in out
    assert "0% of the tensors in common" in out


def test_files_that_cannot_be_read_take_a_sentence_each(tmp_path, capsys):
    text, empty, objects = (tmp_path / f"{name}.pth" for name in ("text", "empty", "objects"))
    text.write_text("hello")
    empty.touch()
    torch.save({"args": argparse.Namespace(lr=1)}, objects)
    shipped = ENCODERS / "scenes-resnet.safetensors"
    status, out, err = inspected(capsys, text, empty, objects, tmp_path / "none.pth", shipped)
    assert status == 2
    assert "a backbone: scenes-resnet" in out
    lines = err.strip().splitlines()
    assert len(lines) == 4
    assert "no format that torch.load knows" in lines[0]
    assert "it is empty" in lines[1]
    assert "it holds a argparse.Namespace" in lines[2]
    assert "no weights at" in lines[3]


def test_a_torchscript_archive_is_told_without_running_it(tmp_path, capsys):
    path, hostile, marker = tmp_path / "a.pt", tmp_path / "b.pt", tmp_path / "executed"
    script(Scripted(), path)
    HOSTILE["jit_setstate"](hostile, marker)
    status, out, err = inspected(capsys, path, hostile)
    assert status == 2 and not marker.exists()
    assert "a TorchScript archive" in out and "tensors: 11" in out
    assert "b.pt is not a plain file of tensors" in err
