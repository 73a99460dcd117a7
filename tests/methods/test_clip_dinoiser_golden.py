"""CLIP-DINOiser's own code, recorded: pooling, DINO's correlations, losses and their gradients."""

import json

import pytest
import torch
from golden import GOLDEN, formula_weights, golden, prefixed
from open_clip import CLIP
from timm.models.vision_transformer import VisionTransformer

from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.dino import Dino
from fsslib.encoders.weights import WeightsError
from fsslib.layers.weighted_pooling import (
    DinoiserHeads,
    correlate,
    cut_correlations,
    refine_background,
    weighted_pool,
)
from fsslib.methods.clip_dinoiser.model import load_heads
from fsslib.priors.similarity import unit


def assert_within(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


def tiny_clip() -> ClipViT:
    vision = {"layers": 4, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
    model = CLIP(16, vision, {"width": 32, "heads": 2, "layers": 1})
    model.visual.load_state_dict(prefixed(golden("dinoiser/03_maskclip_tiny"), "sd.visual."))
    return ClipViT(model, tokenizer=list, name="tiny").freeze()


def tiny_dino() -> Dino:
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    dino = Dino(VisionTransformer(**size, num_classes=0)).freeze()
    dino.model.load_state_dict(prefixed(golden("dinoiser/07_dino_corrs"), "sd."))
    return dino


def test_weighted_pooling():
    case = golden("dinoiser/04_weighted_pool")
    same = weighted_pool(case["same_feats"], case["same_corrs"])
    assert_within(same, case["same_out"], 1e-5)
    assert not same[0, :, 0, 3].any()  # a cell without weights
    assert_within(weighted_pool(case["up_feats"], case["up_corrs"]), case["up_out"], 1e-5)
    signed = weighted_pool(case["same_feats"][:1], case["neg_corrs"])
    assert_within(signed, case["neg_out"], 1e-2)


@pytest.mark.parametrize("facet", ["q", "k", "v"])
def test_facets_and_correlations_of_dino(facet):
    case, dino = golden("dinoiser/07_dino_corrs"), tiny_dino()
    mean, std = dino.statistics
    features = unit(dino.facet((case["image01"] - mean) / std, facet, normalised=True))
    assert_within(features.flatten(2), case[f"feats_{facet}"], 2e-5)
    raw, gamma = correlate(features), case["gamma"].item()
    clear = (raw - gamma).abs() > 1e-4
    assert_within(cut_correlations(raw, gamma) * clear, case[f"corrs_{facet}"] * clear, 2e-5)
    if facet == "v":
        assert_within(raw, case["corrs_v_raw"], 2e-5)


def test_heads_read_the_normalised_mlp_input_of_the_third_last_block():
    case, encoder = golden("dinoiser/10_losses"), tiny_clip()
    heads = DinoiserHeads(32, 8)
    heads.load_state_dict(prefixed(case, "sd."))
    mean, std = encoder.clip_statistics
    inputs = (case["image01"] - mean) / std
    tapped, dense = encoder.tapped_and_dense(inputs, normalised=True)
    assert_within(dense, encoder.dense(inputs, normalised=True), 1e-6)
    assert_within(correlate(heads.embed(tapped)), case["corrs_raw"], 2e-5)
    assert_within(heads.saliency(tapped), case["bkg_logits"], 2e-5)


def test_one_pass_gives_what_each_block_gives_by_itself():
    encoder = tiny_clip()
    images = torch.randint(256, (2, 3, 40, 48), dtype=torch.uint8)
    for tap in (0, -2, -1):
        tapped, dense = encoder.tapped_and_dense(images, tap=tap)
        assert_within(dense, encoder.dense(images), 1e-6)
        (after,) = encoder.tokens(images, [tap])
        block = encoder.blocks[tap]
        # The block's output minus its MLP is the MLP's input before normalisation.
        rebuilt = after[:, 1:] - block.mlp(tapped.flatten(2).mT)
        assert_within(block.ln_2(rebuilt).mT.unflatten(2, (5, 6)), tapped, 1e-4)


def test_background_is_refined_picture_by_picture():
    torch.manual_seed(0)
    chances = (3 * torch.randn(3, 4, 5, 6)).softmax(1)
    saliency = torch.rand(3, 1, 5, 6)
    saliency[0, 0, 0, 0] = 0.5
    together = refine_background(chances, saliency, delta=0.9)
    alone = [refine_background(chances[i : i + 1], saliency[i : i + 1], 0.9) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    changed = together != chances
    assert not changed[:, 1:].any() and (together[changed] == 1).all()
    expected = (chances.amax(1) < 0.9) & (saliency[:, 0] <= 0.5)
    assert torch.equal(changed[:, 0], expected) and expected.any(0).any() and not expected.all()


def test_the_released_batch_write_reaches_other_pictures_classes():
    """The defect, as released: all pictures as one. It is not repeated."""
    torch.manual_seed(0)
    chances = (3 * torch.randn(3, 4, 5, 6)).softmax(1)
    saliency = torch.rand(3, 1, 5, 6)
    lost = ((chances.amax(1) < 0.9) & (saliency[:, 0] <= 0.5)).flatten()
    released = chances.clone()
    released.view(1, 4, -1)[:, 0, lost] = 1.0
    ours = refine_background(chances, saliency, 0.9)
    for picture in (1, 2):
        assert torch.equal(released[picture], chances[picture])  # never refined
        leaked = lost.view(3, 5, 6)[picture]
        assert (released[0, picture][leaked] == 1).all()  # as a class of picture 0
    assert torch.equal(released[0, 0], ours[0, 0])
    assert torch.equal(
        refine_background(chances[:1], saliency[:1], 0.9)[0, 0], released[0, 0]
    )  # right for a single picture
    assert not torch.equal(released, ours)


def test_published_checkpoint_loads_and_others_are_named(tmp_path):
    trainable = json.loads((GOLDEN / "keys_clip_dinoiser.json").read_text())["trainable"]
    shapes = {name: facts["shape"] for name, facts in trainable.items()}
    state = formula_weights(shapes)
    path = tmp_path / "last.pt"
    torch.save({"epoch": 99, "model_state_dict": state}, path)
    heads = load_heads(path, width=768)
    assert sum(p.numel() for p in heads.parameters()) == 1_770_497
    assert all(torch.equal(value, state[key]) for key, value in heads.state_dict().items())
    with pytest.raises(WeightsError, match="CLIP's width is 128"):
        load_heads(path, width=128)
    torch.save({"model_state_dict": {**state, "extra": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match="extra"):
        load_heads(path, width=768)
    del state["bkg_decoder.bias"]
    torch.save({"model_state_dict": state}, path)
    with pytest.raises(WeightsError, match=r"missing \['bkg_decoder.bias'\]"):
        load_heads(path, width=768)


def test_gamma_none_cuts_at_zero_and_says_so():
    raw = correlate(unit(torch.randn(1, 4, 3, 3)))
    with pytest.warns(UserWarning, match="negative correlations are cut"):
        cut = cut_correlations(raw, None)
    assert (raw < 0).any() and (cut >= 0).all()
    assert torch.equal(
        cut_correlations(torch.full((1, 1, 1, 1), 0.2), 0.2)[0, 0], torch.tensor([[0.2]])
    )
