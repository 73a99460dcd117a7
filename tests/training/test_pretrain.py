"""Backbone pretraining: it learns, resumes exactly, and its weights load as a backbone."""

import torch
from safetensors.torch import save_file

from fsslib.encoders import build_backbone
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.backbone import PretrainConfig, backbone_state, pretrain_backbone

CONFIG = PretrainConfig(
    steps=4, batch_size=4, size=33, warmup=1, validation_scenes=8, checkpoint_every=2, workers=0
)


class Killed(Exception):
    pass


def test_resumes_exactly_and_ships(tmp_path):
    whole = pretrain_backbone(CONFIG, tmp_path / "whole", report=lambda _: None)

    def kill(line: str) -> None:
        if line.startswith("step 2/"):
            raise Killed

    try:
        pretrain_backbone(CONFIG, tmp_path / "cut", report=kill)
    except Killed:
        torch.manual_seed(5)
    pretrain_backbone(CONFIG, tmp_path / "cut", report=lambda _: None)
    states = [backbone_state(tmp_path / name, CONFIG) for name in ("whole", "cut")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert 0 <= whole["accuracy"] <= 1

    save_file(states[0], tmp_path / "scenes-resnet.safetensors")
    backbone = build_backbone("scenes-resnet", tmp_path / "scenes-resnet.safetensors")
    expected = states[0]["layer4.1.conv2.weight"].float()
    assert torch.equal(backbone.layer4[1].conv2.weight, expected)
    assert backbone.layer4[1].conv2.dilation == (4, 4)


def test_a_few_steps_on_two_pictures_lower_the_loss(tmp_path):
    config = PretrainConfig(**{**CONFIG.__dict__, "steps": 50, "lr": 1e-3, "warmup": 5})
    pretrain_backbone(config, tmp_path, report=lambda _: None)
    losses = [row["loss"] for row in read_journal(tmp_path / "metrics.jsonl")]
    assert len(losses) == 2 and all(0 < loss < 10 for loss in losses)
