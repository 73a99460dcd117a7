"""SAM by transformers, tiny and random; and without transformers."""

import builtins

import pytest
import torch

from fsslib.encoders import WeightsError
from fsslib.encoders.sam import Sam, load_sam


def tiny_sam():
    transformers = pytest.importorskip("transformers")
    hidden = {"hidden_size": 32, "mlp_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**hidden, "image_size": 128, "patch_size": 16, "output_channels": 32}
    vision |= {"window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16}
    prompt = {"hidden_size": 32, "image_size": 128, "patch_size": 16, "image_embedding_size": 8}
    config = transformers.SamConfig(
        vision_config=vision,
        prompt_encoder_config={**prompt, "mask_input_channels": 4},
        mask_decoder_config={**hidden, "iou_head_hidden_dim": 32},
    )
    torch.manual_seed(0)
    processor = transformers.SamProcessor(
        transformers.SamImageProcessor(
            size={"longest_edge": 128},
            pad_size={"height": 128, "width": 128},
            mask_size={"longest_edge": 32},
        )
    )
    return Sam(transformers.SamModel(config), processor)


def test_sam_draws_a_mask_a_point_in_batches_of_any_size():
    sam = tiny_sam()
    image = torch.randint(256, (3, 97, 80), generator=torch.Generator().manual_seed(0)).byte()
    draw = sam.of(image)
    points = torch.tensor([[3, 4], [50, 60], [79, 96]]).repeat(30, 1)
    masks = draw(points)
    assert masks.shape == (90, 97, 80) and masks.dtype == torch.bool
    alone = draw(points[:3])
    assert (masks[:3] != alone).float().mean() < 0.01  # up to rounding
    assert (alone[0] != alone[1]).any()
    assert draw(points[:0]).shape == (0, 97, 80)


def test_without_transformers_there_is_one_clear_error(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("transformers"):
            raise ImportError("No module named 'transformers'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WeightsError, match=r"pip install 'fsslib\[sam\]'.*'superpixels'"):
        load_sam()


def test_weights_that_are_not_there_are_named(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match="could not be had"):
        load_sam(str(tmp_path))
